/** Accounts and sessions (backend app `accounts`). */
import { del, get, patch, post } from './client'

export type TradingMode = 'simulation' | 'testnet' | 'real'

export interface User {
  id: number
  username: string
  theme: 'dark' | 'light'
  display_timezone: 'UTC' | 'local'
  default_broker_id: number | null
}

export interface Limits {
  max_users: number
  users: number
  max_active_strategies: number
  active_strategies: number
}

export interface Session {
  user: User | null
  debug: { allowed: boolean; active: boolean }
  mode: TradingMode
  limits: Limits
}

export type Preferences = Partial<Pick<User, 'theme' | 'display_timezone'>>

export const fetchSession = (): Promise<Session> => get('/api/session/')
export const login = (username: string, password: string): Promise<Session> =>
  post('/api/session/login/', { username, password })
export const register = (username: string, password: string): Promise<Session> =>
  post('/api/session/register/', { username, password })
export const logout = (): Promise<void> => post('/api/session/logout/')
export const setDebug = (active: boolean): Promise<Session> => post('/api/session/debug/', { active })
export const changePassword = (oldPassword: string, newPassword: string): Promise<void> =>
  post('/api/session/password/', { old_password: oldPassword, new_password: newPassword })
export const deleteAccount = (password: string): Promise<void> => del('/api/session/account/', { password })
export const savePreferences = (changes: Preferences): Promise<Session> => patch('/api/session/preferences/', changes)
