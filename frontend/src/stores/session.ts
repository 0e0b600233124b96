import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import * as api from '@/api/session'
import { usePreferences } from './preferences'

/** Who is logged in, and what the server allows. */
export const useSession = defineStore('session', () => {
  const session = ref<api.Session | null>(null)
  const user = computed(() => session.value?.user ?? null)
  const debug = computed(() => session.value?.debug ?? { allowed: false, active: false })
  const mode = computed<api.TradingMode | null>(() => session.value?.mode ?? null)
  const limits = computed(() => session.value?.limits ?? null)

  function adopt(next: api.Session): void {
    session.value = next
    usePreferences().adopt(next.user)
  }

  async function refresh(): Promise<void> {
    adopt(await api.fetchSession())
  }

  async function login(username: string, password: string): Promise<void> {
    adopt(await api.login(username, password))
  }

  async function enterCode(code: string): Promise<void> {
    adopt(await api.enterCode(code))
  }

  async function register(username: string, password: string): Promise<void> {
    adopt(await api.register(username, password))
  }

  async function setDebug(active: boolean): Promise<void> {
    adopt(await api.setDebug(active))
  }

  async function logout(): Promise<void> {
    await api.logout()
    await refresh()
  }

  /** The server no longer knows us: keep the rest, forget the user. */
  function expire(): void {
    if (session.value) session.value = { ...session.value, user: null }
  }

  return { session, user, debug, mode, limits, adopt, refresh, login, enterCode, register, setDebug, logout, expire }
})
