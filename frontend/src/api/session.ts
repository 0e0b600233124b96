/** Accounts and sessions (backend app `accounts`). */
import { answer, api, type Schemas } from './client'

export type TradingMode = Schemas['TradingModeEnum']
export type User = Schemas['SessionUser']
export type Session = Schemas['Session']
export type Preferences = Schemas['PatchedPreferencesRequest']

export const fetchSession = (): Promise<Session> => answer(api.GET('/api/session/'))
export const login = (username: string, password: string): Promise<Session> =>
  answer(api.POST('/api/session/login/', { body: { username, password } }))
export const enterCode = (code: string): Promise<Session> => answer(api.POST('/api/session/code/', { body: { code } }))
export const register = (username: string, password: string): Promise<Session> =>
  answer(api.POST('/api/session/register/', { body: { username, password } }))
export const logout = (): Promise<unknown> => answer(api.POST('/api/session/logout/'))
export const setDebug = (active: boolean): Promise<Session> => answer(api.POST('/api/session/debug/', { body: { active } }))
export const changePassword = (oldPassword: string, newPassword: string): Promise<unknown> =>
  answer(api.POST('/api/session/password/', { body: { old_password: oldPassword, new_password: newPassword } }))
export const savePreferences = (body: Preferences): Promise<Session> => answer(api.PATCH('/api/session/preferences/', { body }))
/** The description of the API has no body on DELETE; the server asks the password there. */
export const deleteAccount = (password: string): Promise<unknown> =>
  answer(api.DELETE('/api/session/account/', { body: { password } as never }))

export type Device = Schemas['Device']
export const fetchDevices = (): Promise<Device[]> => answer(api.GET('/api/session/devices/'))
export const closeDevice = (id: number): Promise<unknown> => answer(api.DELETE('/api/session/devices/{id}/', { params: { path: { id } } }))
export const closeOtherDevices = (): Promise<Device[]> => answer(api.POST('/api/session/devices/close-others/'))

export type TwoFactor = Schemas['TwoFactor']
export type Enrolment = Schemas['Enrolment']
const recoveryCodes = async (call: Promise<Schemas['RecoveryCodes']>): Promise<string[]> => (await call).recovery_codes
export const fetchTwoFactor = (): Promise<TwoFactor> => answer(api.GET('/api/session/two-factor/'))
export const beginTwoFactor = (password: string): Promise<Enrolment> => answer(api.POST('/api/session/two-factor/', { body: { password } }))
export const confirmTwoFactor = (code: string): Promise<string[]> => recoveryCodes(answer(api.POST('/api/session/two-factor/confirm/', { body: { code } })))
export const renewRecoveryCodes = (password: string, code: string): Promise<string[]> =>
  recoveryCodes(answer(api.POST('/api/session/two-factor/recovery-codes/', { body: { password, code } })))
export const endTwoFactor = (password: string, code: string): Promise<unknown> =>
  answer(api.POST('/api/session/two-factor/off/', { body: { password, code } }))
