/** The simulated exchange's own record, and the trouble it can be asked for. */
import { expect } from '@playwright/test'
import { exchangeUrl } from './instance.ts'

export interface ExchangeOrder {
  clientOrderId: string
  symbol: string
  side: string
  type: string
  status: string
  price: string
  stopPrice: string
  origQty: string
  executedQty: string
  cummulativeQuoteQty: string
}

async function ask<T>(method: string, path: string, body?: object): Promise<T> {
  const headers = { 'Content-Type': 'application/json' }
  const response = await fetch(`${exchangeUrl()}/__sim/${path}`, { method, headers, body: body && JSON.stringify(body) })
  const text = await response.text()
  expect(response.ok, `${method} ${path}: ${response.status} ${text.slice(0, 300)}`).toBe(true)
  return JSON.parse(text) as T
}

/** Every order that the exchange ever accepted. */
export const exchangeOrders = (): Promise<ExchangeOrder[]> => ask('GET', 'orders')

/** Moves the market to a price; it walks on from there. */
export const movePrice = (symbol: string, price: string): Promise<unknown> => ask('POST', 'price', { symbol, price })

/** Plans one trouble. */
export const plan = (fault: object): Promise<unknown> => ask('POST', 'faults', fault)

export const clearFaults = (): Promise<unknown> => ask('DELETE', 'faults')
