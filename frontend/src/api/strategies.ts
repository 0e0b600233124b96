/** Users' strategies (backend apps `strategies` and `backtest`'s quick test). */
import { answer, answerAll, api, type Schemas } from './client'

export type Strategy = Schemas['Strategy']
export type StrategyDraft = Schemas['StrategyRequest']
export type StrategyVersion = Schemas['Version']
export type StrategyExample = Schemas['Example']
export type ParamSpec = Schemas['ParamSpec']
export type Indicator = Schemas['Indicator']
export type Validation = Schemas['Validation']
export type CodeError = Schemas['CodeError']
export type QuickTest = Schemas['QuickTest']
export type QuickTestDraft = Schemas['QuickTestInputRequest']

/** How far a quick test is: candles first, then one decision a close, 0 to 1. */
export interface QuickTestNews {
  id: string
  phase: 'loading' | 'running'
  progress: number
}

const one = (id: number) => ({ params: { path: { id: String(id) } } })

export const fetchStrategies = (): Promise<Strategy[]> => answerAll((query) => api.GET('/api/strategies/', { params: { query } }))
export const createStrategy = (body: StrategyDraft): Promise<Strategy> => answer(api.POST('/api/strategies/', { body }))
export const changeStrategy = (id: number, body: StrategyDraft): Promise<Strategy> => answer(api.PATCH('/api/strategies/{id}/', { ...one(id), body }))
export const deleteStrategy = (id: number): Promise<unknown> => answer(api.DELETE('/api/strategies/{id}/', one(id)))
export const fetchVersions = (id: number): Promise<StrategyVersion[]> =>
  answerAll((query) => api.GET('/api/strategies/{id}/versions/', { params: { path: { id: String(id) }, query } }))
export const fetchExamples = (): Promise<StrategyExample[]> => answer(api.GET('/api/strategies/examples/'))
export const fetchIndicators = (): Promise<Indicator[]> => answer(api.GET('/api/strategies/indicators/'))
export const validateCode = (code: string): Promise<Validation> => answer(api.POST('/api/strategies/validate/', { body: { code } }))
export const quickTest = (body: QuickTestDraft): Promise<QuickTest> => answer(api.POST('/api/backtests/quick-test/', { body }))
export const cancelQuickTest = (id: string): Promise<unknown> => answer(api.POST('/api/backtests/quick-test/cancel/', { body: { id } }))
