/** Trades and positions (backend app `orders`). */
import type { Schemas } from './client'

export type OrderStatus = Schemas['TradeStatusEnum']
export type Trade = Schemas['Trade']
export type Position = Schemas['Position']
