/** Brokers, exchanges and their symbols (backend apps `brokers` and `market_data`). */
import { answer, answerAll, api, type Page, type Schemas } from './client'

export type Broker = Schemas['Broker']
export type MarketSymbol = Schemas['Symbol']
export type Balance = Schemas['Balance']
export type Exchange = Schemas['Exchange']
export type ConnectionTest = Schemas['ConnectionTest']
export type Capabilities = Schemas['Capabilities']
export type NewBroker = Schemas['BrokerCreateRequest']
export type BrokerChange = Schemas['PatchedBrokerChangeRequest']
export type KeysToTest = Schemas['KeysTestRequest']

const one = (id: number) => ({ params: { path: { id: String(id) } } })

export const fetchBrokers = (): Promise<Broker[]> => answerAll((query) => api.GET('/api/brokers/', { params: { query } }))
export const fetchExchanges = (): Promise<Exchange[]> => answerAll((query) => api.GET('/api/exchanges/', { params: { query } }))
export const fetchBalance = (id: number): Promise<Balance> => answer(api.GET('/api/brokers/{id}/balance/', one(id)))
export const fetchCapabilities = (id: number): Promise<Capabilities> => answer(api.GET('/api/brokers/{id}/capabilities/', one(id)))
export const loadMarkets = (id: number): Promise<Broker> => answer(api.POST('/api/brokers/{id}/load-markets/', one(id)))
export const createBroker = (body: NewBroker): Promise<Broker> => answer(api.POST('/api/brokers/', { body }))
export const changeBroker = (id: number, body: BrokerChange): Promise<Broker> => answer(api.PATCH('/api/brokers/{id}/', { ...one(id), body }))
export const deleteBroker = (id: number): Promise<unknown> => answer(api.DELETE('/api/brokers/{id}/', one(id)))
export const testBroker = (id: number): Promise<ConnectionTest> => answer(api.POST('/api/brokers/{id}/test/', one(id)))
export const testKeys = (body: KeysToTest): Promise<ConnectionTest> => answer(api.POST('/api/brokers/test/', { body }))
export const searchSymbols = (broker: number, search: string): Promise<Page<MarketSymbol>> =>
  answer(api.GET('/api/symbols/', { params: { query: { broker, search } } }))
