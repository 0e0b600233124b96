/** Sources of calls from outside and their journal (backend app `webhooks`). */
import { answer, answerAll, api, type Schemas } from './client'

export type Source = Schemas['Source']
export type NewSource = Schemas['NewSource']
export type SourceSettings = Schemas['SourceInputRequest']
export type WebhookCall = Schemas['Call']
export type WebhookCallDetail = Schemas['CallDetail']
export type WebhookSummary = Schemas['Summary']
export type Reading = Schemas['Reading']
export type Verdict = 'executed' | 'nothing' | 'duplicate' | 'stale' | 'refused' | 'received'

export interface JournalFilter {
  verdict?: Verdict
  source?: number
  search?: string
}

const one = (id: number) => ({ params: { path: { id: String(id) } } })

export const fetchSources = (): Promise<Source[]> => answerAll((query) => api.GET('/api/webhooks/sources/', { params: { query } }))
export const createSource = (body: SourceSettings): Promise<NewSource> => answer(api.POST('/api/webhooks/sources/', { body }))
export const changeSource = (id: number, body: Partial<SourceSettings>): Promise<Source> =>
  answer(api.PATCH('/api/webhooks/sources/{id}/', { ...one(id), body }))
export const deleteSource = (id: number): Promise<unknown> => answer(api.DELETE('/api/webhooks/sources/{id}/', one(id)))
export const rotateToken = (id: number): Promise<NewSource> => answer(api.POST('/api/webhooks/sources/{id}/rotate/', one(id)))
export const revokeSource = (id: number): Promise<Source> => answer(api.POST('/api/webhooks/sources/{id}/revoke/', one(id)))
/** How a message would be read now; nothing is ordered. */
export const readMessage = (id: number, body: string): Promise<Reading> =>
  answer(api.POST('/api/webhooks/sources/{id}/read/', { ...one(id), body: { body } }))
/** Sends a message as if it had come from outside, on simulated money. */
export const sendTest = (id: number, body: string): Promise<WebhookCall> =>
  answer(api.POST('/api/webhooks/sources/{id}/test/', { ...one(id), body: { body } }))

/** One page of the journal, newest first, and what asks for the next one. */
export async function fetchCalls(filter: JournalFilter, cursor?: string): Promise<{ calls: WebhookCall[]; next: string | null }> {
  const { results, next } = await answer(api.GET('/api/webhooks/', { params: { query: { ...filter, cursor } } }))
  return { calls: results, next: next ? new URL(next).searchParams.get('cursor') : null }
}
/** One call with the text that came. */
export const fetchCall = (id: number): Promise<WebhookCallDetail> => answer(api.GET('/api/webhooks/{id}/', one(id)))
/** The day's figures, from the instant at which the user's day began. */
export const fetchSummary = (since: string): Promise<WebhookSummary> => answer(api.GET('/api/webhooks/summary/', { params: { query: { since } } }))
