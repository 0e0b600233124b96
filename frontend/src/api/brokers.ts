/** Brokers and their symbols (backend apps `brokers` and `market_data`). */
import { answer, answerAll, api, type Page, type Schemas } from './client'

export type Broker = Schemas['Broker']
export type MarketSymbol = Schemas['Symbol']
export type Balance = Schemas['Balance']

export const fetchBrokers = (): Promise<Broker[]> => answerAll((query) => api.GET('/api/brokers/', { params: { query } }))
export const fetchBalance = (id: number): Promise<Balance> => answer(api.GET('/api/brokers/{id}/balance/', { params: { path: { id: String(id) } } }))
export const loadMarkets = (id: number): Promise<Broker> =>
  answer(api.POST('/api/brokers/{id}/load-markets/', { params: { path: { id: String(id) } } }))
export const searchSymbols = (broker: number, search: string): Promise<Page<MarketSymbol>> =>
  answer(api.GET('/api/symbols/', { params: { query: { broker, search } } }))
