import { defineStore } from 'pinia'
import { ref } from 'vue'
import * as api from '@/api/assistant'
import { useSession } from './session'

/** The settings of the AI assistant. The server keeps the key; here only its end is known. */
export const useAssistant = defineStore('assistant', () => {
  const settings = ref<api.AssistantSettings | null>(null)

  async function refresh(): Promise<void> {
    settings.value = await api.fetchAssistant()
  }

  /** Changes what is given; the session tells every page whether the assistant is on. */
  async function change(body: api.AssistantChange): Promise<void> {
    settings.value = await api.changeAssistant(body)
    await useSession().refresh()
  }

  return { settings, refresh, change }
})
