/** Alerts: their list, the addresses they go to, which kinds are sent (backend app `alerts`). */
import { answer, api, type Schemas } from './client'

export type Alert = Schemas['Alert']
export type AlertAddress = Schemas['AlertAddress']
export type AlertKind = Schemas['AlertPreferences']['kinds'][number]

const one = (id: number) => ({ params: { path: { id: String(id) } } })

/** The newest alerts, at most twenty. */
export const fetchAlerts = async (): Promise<Alert[]> => (await answer(api.GET('/api/alerts/'))).results
export const fetchAddresses = (): Promise<AlertAddress[]> => answer(api.GET('/api/alerts/addresses/'))
export const addAddress = (address: string): Promise<AlertAddress> => answer(api.POST('/api/alerts/addresses/', { body: { address } }))
export const switchAddress = (id: number, isActive: boolean): Promise<AlertAddress> =>
  answer(api.PATCH('/api/alerts/addresses/{id}/', { ...one(id), body: { is_active: isActive } }))
export const removeAddress = (id: number): Promise<unknown> => answer(api.DELETE('/api/alerts/addresses/{id}/', one(id)))
export const testAddress = (id: number): Promise<Schemas['AlertTest']> => answer(api.POST('/api/alerts/addresses/{id}/test/', one(id)))
export const fetchKinds = async (): Promise<AlertKind[]> => (await answer(api.GET('/api/alerts/preferences/'))).kinds
export const chooseKinds = async (kinds: AlertKind[]): Promise<AlertKind[]> =>
  (await answer(api.PUT('/api/alerts/preferences/', { body: { kinds } }))).kinds
export type DailySummary = Schemas['DailySummary']
export const fetchSummary = (): Promise<DailySummary> => answer(api.GET('/api/alerts/summary/'))
export const chooseSummary = (body: DailySummary): Promise<DailySummary> => answer(api.PUT('/api/alerts/summary/', { body }))
