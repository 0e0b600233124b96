/** Backtests and parameter sweeps (backend app `backtest`). */
import { answer, answerAll, api, type Page, type Schemas } from './client'

export type RunStatus = Schemas['Backtest']['status']
export type RunTrade = Schemas['BacktestTrade']
export type NewRun = Schemas['BacktestInputRequest']
export type Metrics = Record<string, number | string | null | undefined>
export type Verdict = 'ok' | 'biased' | 'too_short' | 'unproven'

// What the description leaves open; the domain's report says it (`domain/backtest/contract.py`).

/** A column whose value depends on which candles are known; null = undefined. */
export interface ColumnDifference {
  column: string
  bar: number
  time_ms: number
  whole: number | null
  seen: number | null
  relative_gap: number | null
}

export interface Checks {
  look_ahead?: { verdict: Verdict; columns: ColumnDifference[]; bars_checked: number; prefixes_checked: number; reason: string }
  window?: { verdict: Verdict; size: number; columns: ColumnDifference[] }
  /** `worst` and `best` are the final balance if the undecided candles went wrong, or well. */
  ambiguous_candles?: { count: number; decided: number; worst: string; best: string }
  coverage?: { ratio: number; present: number; expected: number; hole_count: number; holes: { from_ms: number; to_ms: number; missing: number }[] }
}

/** What is still held at the end, valued at the last close, before the fees of a sale. */
export interface OpenPosition {
  entry_time_ms: number
  quantity: string
  entry_price: string
  entry_fee: string
  value: string
  unrealized_profit: string
}

/** An entry that the exchange's filters or the balance would have refused. */
export interface Refusal {
  time: number
  reason: string
}

/** What stands among the figures and is none. */
export interface Leftovers {
  open_position: OpenPosition | null
  refused_count: number
  refusals: Refusal[]
  skipped_at_holes: number
}

/** How a result was computed, with its seconds; `fallback` is French: why a faster path was not taken. */
export interface Engine {
  path: 'vectorised' | 'prefix_view' | 'literal'
  fallback: string
  bars: number
  engine_s: number
  proof_s: number
  total_s: number
}

export type Run = Omit<Schemas['Backtest'], 'metrics' | 'checks' | 'assumptions'> & {
  /** Figures by name, and `leftovers(run)`; null until the run is done, like the others. */
  metrics: Metrics | null
  checks: Checks | null
  hashes: Record<string, string> | null
  engine: Engine | null
  assumptions: { name: string; value: string }[]
}

export const leftovers = (run: Pick<Run, 'metrics'>): Leftovers | null => run.metrics as unknown as Leftovers | null
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

export type Objective = Schemas['Sweep']['objective']
export type SweepMethod = Schemas['Sweep']['method']
export type NewSweep = Omit<Schemas['SweepInputRequest'], 'space'> & { space: Record<string, (number | string | boolean)[]> }
export type Sweep = Schemas['Sweep']
export type SweepRun = Omit<Schemas['SweepRun'], 'in_sample' | 'out_of_sample'> & { in_sample: Metrics; out_of_sample: Metrics }

const HISTORY = 50
const TRADES_A_PAGE = 5000
const one = (id: number) => ({ params: { path: { id: String(id) } } })
const cursorOf = (address: string): string | undefined => new URL(address, location.origin).searchParams.get('cursor') ?? undefined
const asRun = async (call: Promise<Schemas['Backtest']>): Promise<Run> => (await call) as unknown as Run

/** The newest runs, or the page at `address`. */
export const fetchRuns = async (address?: string): Promise<Page<Run>> =>
  (await answer(api.GET('/api/backtests/', { params: { query: { limit: HISTORY, cursor: address && cursorOf(address) } } }))) as unknown as Page<Run>
export const fetchRun = (id: number): Promise<Run> => asRun(answer(api.GET('/api/backtests/{id}/', one(id))))
export const createRun = (body: NewRun): Promise<Run> => asRun(answer(api.POST('/api/backtests/', { body })))
export const cancelRun = (id: number): Promise<Run> => asRun(answer(api.POST('/api/backtests/{id}/cancel/', one(id))))
export const deleteRun = (id: number): Promise<unknown> => answer(api.DELETE('/api/backtests/{id}/', one(id)))

/** Curves and candles of a finished run; between two instants the candles are finer. */
export const fetchCurves = (id: number, since?: Date, until?: Date): Promise<Curves> =>
  answer(api.GET('/api/backtests/{id}/equity/', { params: { path: { id: String(id) }, query: { since: since?.toISOString(), until: until?.toISOString() } } }))

/** Every trade of a finished run, in order of time. */
export async function fetchTrades(id: number): Promise<RunTrade[]> {
  const trades: RunTrade[] = []
  for (let page: number | null = 1; page !== null; ) {
    const part: Schemas['TradePage'] = await answer(api.GET('/api/backtests/{id}/trades/', { params: { path: { id: String(id) }, query: { page, limit: TRADES_A_PAGE } } }))
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
