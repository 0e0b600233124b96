import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { order, replies } from '@/testing/desk'
import { FakeTerminal, type Replies } from '@/testing/terminal'
import { useToasts } from './toasts'
import { COMMAND_MS, useTrading } from './trading'

let server: FakeTerminal
let trading: ReturnType<typeof useTrading>

async function open(over: Replies = {}): Promise<void> {
  server = new FakeTerminal(replies(over)).install()
  trading.start()
  await trading.select(1, { symbol: 'BTC/USDT', timeframe: '5m' })
  await trading.refreshOrders()
}
const status = (id: number): string | undefined => trading.orders.find((one) => one.id === id)?.status

beforeEach(() => {
  vi.useFakeTimers()
  setActivePinia(createPinia())
  trading = useTrading()
})
afterEach(() => {
  trading.stop()
  vi.useRealTimers()
})

describe('one merge for answers and events', () => {
  it('never lets a slow list take back what an event has said', async () => {
    await open()
    server.emit('orders/trade', order(9, { status: 'filled', filled_quantity: '0.015', average_price: '93620' }))
    await trading.refreshOrders() // the scripted list still says « open »
    expect(status(9)).toBe('filled')
    expect(trading.open).toEqual([])
  })

  it('never takes back an execution between two partial states', async () => {
    await open()
    server.emit('orders/trade', order(9, { status: 'partially_filled', filled_quantity: '0.010' }))
    server.emit('orders/trade', order(9, { status: 'partially_filled', filled_quantity: '0.004' }))
    expect(trading.orders.find((one) => one.id === 9)?.filled_quantity).toBe('0.010')
  })

  it('drops what belongs to another broker', async () => {
    await open()
    server.emit('orders/trade', order(50, { broker: 2 }))
    expect(status(50)).toBeUndefined()
  })

  it('drops an order that no list knows any more, but not one that an event brought meanwhile', async () => {
    await open()
    server.replies.orders = { data: { results: [] } }
    server.replies.history = { data: { results: [] } }
    const reading = trading.refreshOrders()
    server.emit('orders/trade', order(10))
    await reading
    expect(trading.open.map((one) => one.id)).toEqual([10])
  })

  it('forgets one broker’s account when it turns to another', async () => {
    await open()
    await trading.select(2, { symbol: '', timeframe: '5m' })
    expect(trading.orders).toEqual([])
    expect(trading.portfolio).toBeNull()
  })
})

describe('what the user is told', () => {
  it('says once that an order was executed, and reads the portfolio again', async () => {
    await open()
    const filled = order(9, { status: 'filled', filled_quantity: '0.015', average_price: '93620' })
    server.emit('orders/trade', filled)
    server.emit('orders/trade', filled)
    expect(useToasts().toasts.map((toast) => [toast.tone, toast.title])).toEqual([['ok', 'Achat limite BTC/USDT']])
    expect(trading.activity[0].text).toContain('exécuté')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(server.of('portfolio')).toHaveLength(1)
  })

  it('shows a refusal in the exchange’s own words', async () => {
    await open()
    server.emit('orders/trade', order(11, { status: 'rejected', error_message: 'Ordre refusé par Binance : solde insuffisant.' }))
    expect(useToasts().toasts[0]).toMatchObject({ tone: 'bad', text: 'Ordre refusé par Binance : solde insuffisant.' })
  })
})

describe('cancelling and changing', () => {
  it('is under way until an event ends it', async () => {
    await open()
    await trading.cancel(order(9))
    expect(trading.busy).toEqual({ 9: 'cancel' })
    server.emit('orders/trade', order(9, { status: 'cancelled' }))
    expect(trading.busy).toEqual({})
  })

  it('says why a command failed', async () => {
    await open()
    await trading.amend({ broker: 1, trade: 9, price: '93000' })
    server.emit('orders/command', { id: 3, trade: 9, kind: 'amend', status: 'failed', error_message: 'Déjà exécuté.' })
    expect(trading.busy).toEqual({})
    expect(useToasts().toasts[0]).toMatchObject({ title: 'Modification impossible', text: 'Déjà exécuté.' })
  })

  it('frees the row and reads the truth again when nothing ever comes', async () => {
    await open()
    const reads = server.of('orders').length
    await trading.cancel(order(9))
    await vi.advanceTimersByTimeAsync(COMMAND_MS)
    expect(trading.busy).toEqual({})
    expect(server.of('orders')).toHaveLength(reads + 1)
    expect(useToasts().toasts[0].text).toContain('n’a pas encore de réponse de l’exchange')
  })

  it('frees the row when the server refuses the wish', async () => {
    await open({ cancel: { error: { code: 'order_already_final', message: 'Déjà terminé.' } } })
    await expect(trading.cancel(order(9))).rejects.toThrow('Déjà terminé.')
    expect(trading.busy).toEqual({})
  })

  it('passes on that terminal 5 is away', async () => {
    await open({ cancel: { data: { trade: order(9), warnings: ['Service CCXT arrêté : l’annulation partira à son retour.'] } } })
    await trading.cancel(order(9))
    expect(useToasts().toasts[0].text).toContain('partira à son retour')
  })
})
