/** Backtests and parameter sweeps (backend app `backtest`). */
import type { Timeframe } from './core'
import { answer, answerAll, api, type Page, type Schemas } from './client'

export type RunStatus = Schemas['Backtest']['status']
export type RunTrade = Schemas['BacktestTrade']
export type NewRun = Schemas['BacktestInputRequest']
export type Metrics = Schemas['BacktestMetrics']
/** The figures among the metrics; what else stands there are lists. */
export type MetricKey = Exclude<keyof Metrics, 'open_position' | 'refusals'>
export type Checks = Schemas['BacktestChecks']
export type ColumnDifference = Schemas['ColumnDifference']
export type Run = Schemas['Backtest']

/** What the form proposes for a market, each value with where it comes from. */
export type Offer = Schemas['Offer']

/** How far a backtest or a sweep has come in its present phase, 0 to 1; `detail` is French, with the time left. */
export interface BacktestProgress {
  id: number
  kind: 'run' | 'sweep'
  phase: 'loading' | 'running'
  progress: number
  detail: string
}

/** Columns of equal length; `time` in ms, `drawdown` a positive ratio from the peak. */
export type ChartCurve = Schemas['Curve']
export type Curves = Pick<Schemas['BacktestCurves'], 'curve' | 'candles' | 'candle_ms'>

export type Sampler = Schemas['Sweep']['sampler']
export type Objective = Schemas['Sweep']['objective']
export type NewSweep = Omit<Schemas['SweepInputRequest'], 'space'> & { space: Record<string, (number | string | boolean)[]> }
export type Sweep = Schemas['Sweep']
/** One combination; of each part its figures, none when it failed. */
export type SweepRun = Omit<Schemas['SweepRun'], 'in_sample' | 'out_of_sample'> & { in_sample: Partial<Metrics>; out_of_sample: Partial<Metrics> }

const HISTORY = 50
const TRADES_A_PAGE = 5000
const one = (id: number) => ({ params: { path: { id: String(id) } } })
const cursorOf = (address: string): string | undefined => new URL(address, location.origin).searchParams.get('cursor') ?? undefined

/** The newest runs, or the page at `address`. */
export const fetchRuns = (address?: string): Promise<Page<Run>> =>
  answer(api.GET('/api/backtests/', { params: { query: { limit: HISTORY, cursor: address && cursorOf(address) } } }))
export const fetchOffer = (broker: number, symbol: string, timeframe: Timeframe): Promise<Offer> =>
  answer(api.GET('/api/backtests/offer/', { params: { query: { broker, symbol, timeframe } } }))
export const fetchRun = (id: number): Promise<Run> => answer(api.GET('/api/backtests/{id}/', one(id)))
export const createRun = (body: NewRun): Promise<Run> => answer(api.POST('/api/backtests/', { body }))
export const cancelRun = (id: number): Promise<Run> => answer(api.POST('/api/backtests/{id}/cancel/', one(id)))
export const deleteRun = (id: number): Promise<unknown> => answer(api.DELETE('/api/backtests/{id}/', one(id)))

/** Curves and candles of a finished run; between two instants the candles are finer. */
export const fetchCurves = (id: number, since?: Date, until?: Date): Promise<Curves> =>
  answer(api.GET('/api/backtests/{id}/equity/', { params: { path: { id: String(id) }, query: { since: since?.toISOString(), until: until?.toISOString() } } }))

/** Every trade of a finished run, in order of time. */
export async function fetchTrades(id: number): Promise<RunTrade[]> {
  const trades: RunTrade[] = []
  for (let page: number | null = 1; page !== null; ) {
    const asked = api.GET('/api/backtests/{id}/trades/', { params: { path: { id: String(id) }, query: { page, limit: TRADES_A_PAGE } } })
    const part = (await answer(asked)) as Schemas['TradePage'] // not asked as CSV
    trades.push(...part.results)
    page = part.next
  }
  return trades
}

export const csvAddress = (id: number): string => `/api/backtests/${id}/trades/?format=csv`

export const fetchSweeps = (): Promise<Sweep[]> => answerAll((query) => api.GET('/api/backtests/sweeps/', { params: { query } }))
export const fetchSweep = async (id: number): Promise<Sweep & { runs: SweepRun[] }> =>
  (await answer(api.GET('/api/backtests/sweeps/{id}/', one(id)))) as Sweep & { runs: SweepRun[] }
export const createSweep = (body: NewSweep): Promise<Sweep> => answer(api.POST('/api/backtests/sweeps/', { body }))
export const cancelSweep = (id: number): Promise<Sweep> => answer(api.POST('/api/backtests/sweeps/{id}/cancel/', one(id)))
export const deleteSweep = (id: number): Promise<unknown> => answer(api.DELETE('/api/backtests/sweeps/{id}/', one(id)))
