import { defineStore } from 'pinia'
import { ref } from 'vue'
import { savePreferences, type Preferences, type User } from '@/api/session'
import type { ThemeName } from '@/design-system/tokens'
import type { Zone } from '@/utils/time'

const THEME_KEY = 'aristobot.theme'

/** Theme and time zone: kept by the server for a user, by the browser before anyone logs in. */
export const usePreferences = defineStore('preferences', () => {
  const theme = ref<ThemeName>(localStorage.getItem(THEME_KEY) === 'light' ? 'light' : 'dark')
  const zone = ref<Zone>('utc')
  let known = false

  function applyTheme(name: ThemeName): void {
    theme.value = name
    document.documentElement.dataset.theme = name
    localStorage.setItem(THEME_KEY, name)
  }

  /** Takes over what the server remembers of this user; without one, keeps what is on screen. */
  function adopt(user: User | null): void {
    known = user !== null
    if (!user) return
    applyTheme(user.theme === 'light' ? 'light' : 'dark')
    zone.value = user.display_timezone === 'local' ? 'local' : 'utc'
  }

  async function save(changes: Preferences): Promise<void> {
    if (known) await savePreferences(changes)
  }

  async function setTheme(name: ThemeName): Promise<void> {
    applyTheme(name)
    await save({ theme: name })
  }

  async function setZone(next: Zone): Promise<void> {
    zone.value = next
    await save({ display_timezone: next === 'utc' ? 'UTC' : 'local' })
  }

  applyTheme(theme.value)
  return { theme, zone, adopt, setTheme, setZone }
})
