import { defineStore } from 'pinia'
import { ref } from 'vue'

/** Which trace is open, from wherever in the cockpit it was asked for. */
export const useTraces = defineStore('traces', () => {
  const opened = ref<string | null>(null)
  const show = (trace: string): void => void (opened.value = trace)
  const close = (): void => void (opened.value = null)
  return { opened, show, close }
})
