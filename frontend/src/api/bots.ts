/** Active strategies, « bots » on screen (backend app `trading_engine`). */
import { answer, answerAll, api, type Schemas } from './client'
import type { Position, Trade } from './orders'

export type BotState = Schemas['BotStateEnum']
export type Decision = Schemas['Decision']
export type NewBot = Schemas['BotInputRequest']
export type ParityRun = Schemas['ParityRun']
export type ParityDifference = Schemas['ParityDifference']

/** A bot; its trades and position are those of the orders' room. */
export type Bot = Omit<Schemas['Bot'], 'trades' | 'position'> & { trades: Trade[]; position: Position | null }

const path = (id: number) => ({ params: { path: { id: String(id) } } })

// The description gives a bot's trades a looser status than the orders' own: the server sends the same bodies.
const asBot = async (call: Promise<Schemas['Bot']>): Promise<Bot> => (await call) as Bot

export const fetchBots = async (): Promise<Bot[]> => (await answerAll((query) => api.GET('/api/bots/', { params: { query } }))) as Bot[]
/** The newest decisions of one bot. */
export const fetchDecisions = async (id: number, limit: number): Promise<Decision[]> =>
  (await answer(api.GET('/api/bots/{id}/decisions/', { params: { path: { id: String(id) }, query: { limit } } }))).results
/** One page of decisions, newest first; `cursor` asks for the next, null when there is none. */
export async function fetchDecisionPage(id: number, cursor: string | null, limit = 100): Promise<{ rows: Decision[]; cursor: string | null }> {
  const page = await answer(api.GET('/api/bots/{id}/decisions/', { params: { path: { id: String(id) }, query: { limit, cursor: cursor ?? undefined } } }))
  return { rows: page.results, cursor: page.next ? new URL(page.next, location.origin).searchParams.get('cursor') : null }
}
/** The market days whose decisions were replayed, newest first. */
export const fetchParity = async (id: number, limit: number): Promise<ParityRun[]> =>
  (await answer(api.GET('/api/bots/{id}/parity/', { params: { path: { id: String(id) }, query: { limit } } }))).results
export const askParity = (id: number): Promise<ParityRun> => answer(api.POST('/api/bots/{id}/parity/', path(id)))
export const createBot = (body: NewBot): Promise<Bot> => asBot(answer(api.POST('/api/bots/', { body })))
/** Ends a bot; `sell` leaves its open position first, in one step that survives a crash. */
export const stopBot = (id: number, { confirm, sell }: { confirm: boolean; sell: boolean }): Promise<Bot> =>
  asBot(answer(api.POST('/api/bots/{id}/stop/', { ...path(id), body: { confirm, sell } })))
export const fetchEquity = (id: number): Promise<Schemas['Equity']> => answer(api.GET('/api/bots/{id}/equity/', path(id)))
export const suspendBot = (id: number): Promise<Bot> => asBot(answer(api.POST('/api/bots/{id}/suspend/', path(id))))
export const resumeBot = (id: number): Promise<Bot> => asBot(answer(api.POST('/api/bots/{id}/resume/', path(id))))
/** Changes what a bot may use at most: `amount` in quote currency, null for all that is free. */
export const setBotCap = (id: number, amount: string | null): Promise<Bot> =>
  // What has a default in the description reads as required, even where only changes are sent.
  asBot(answer(api.PATCH('/api/bots/{id}/', { ...path(id), body: { amount } as Schemas['PatchedBotInputRequest'] })))
export const sellBot = (id: number): Promise<Bot> => asBot(answer(api.POST('/api/bots/{id}/sell/', path(id))))
