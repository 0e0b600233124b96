import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, it, vi } from 'vitest'
import type { WebhookCall } from '@/api/webhooks'
import { fakeServer } from '@/testing/server'
import { trade } from '@/testing/samples'
import { outcomeOf, verdictOf, verdictWord } from '@/utils/webhooks'
import { useWebhooks } from './webhooks'

const call = (id: number, over: Partial<WebhookCall> = {}): WebhookCall => ({
  id, source: 1, source_name: 'TradingView', broker_name: 'Simulateur', status: 'received', code: '', reason: '', symbol: '', action: '',
  payload: {}, call_id: '', duplicate_of: null, remote_address: '', is_test: false, created_at: '2026-11-22T12:00:00Z', processed_at: null,
  left_position: null, trades: [],
  ...over,
})
const settled = (id: number, over: Partial<WebhookCall> = {}) =>
  call(id, { status: 'executed', symbol: 'BTC/USDT', action: 'buy', processed_at: '2026-11-22T12:00:01Z', ...over })

beforeEach(() => {
  setActivePinia(createPinia())
  fakeServer({ 'GET /api/webhooks/summary/': { body: { calls: 1 } } })
})

it('keeps a verdict when the arrival is told after it', () => {
  const hooks = useWebhooks()
  hooks.hear([settled(2)])
  hooks.hear([call(2), call(3)])
  expect(hooks.calls.map((one) => [one.id, one.status])).toEqual([[3, 'received'], [2, 'executed']])
})

it('follows the orders of a call, and the exit of the position it left', () => {
  const hooks = useWebhooks()
  hooks.hear([settled(2), settled(3, { action: 'close', left_position: 7 })])
  hooks.addTrade(trade(10, { webhook: 2, status: 'open', average_price: null, filled_quantity: '0' }))
  expect(verdictWord(hooks.calls[1]).label).toBe('Ordre en cours')
  hooks.addTrade(trade(10, { webhook: 2, status: 'rejected', average_price: null, filled_quantity: '0', error_message: 'Solde insuffisant' }))
  expect([verdictOf(hooks.calls[1]), outcomeOf(hooks.calls[1])]).toEqual(['refused', 'Solde insuffisant'])
  hooks.addTrade(trade(11, { position: 7, intent: 'exit', side: 'sell', profit_loss: '-0.43' }))
  expect(outcomeOf(hooks.calls[0]).replace(/[\u202f\u00a0]/g, ' ')).toBe('Vente 0,06 BTC à 94 012,4, P&L −0,43 USDT')
})

it('shows pushed calls only when they answer to the filter', async () => {
  fakeServer({ 'GET /api/webhooks/': { body: { results: [call(1, { status: 'refused', processed_at: '2026-11-22T12:00:00Z' })], next: null } } })
  const hooks = useWebhooks()
  await hooks.choose({ verdict: 'refused' })
  hooks.hear([settled(2), call(3, { status: 'refused', processed_at: '2026-11-22T12:00:02Z' })])
  expect(hooks.calls.map((one) => one.id)).toEqual([3, 1])
})

it('counts a call for its source when its verdict is told before its arrival', async () => {
  const source = (call_count: number) => ({ id: 1, name: 'TradingView', call_count })
  const server = fakeServer({ 'GET /api/webhooks/summary/': { body: { calls: 1 } }, 'GET /api/webhooks/sources/': { body: { results: [source(0)] } } })
  const hooks = useWebhooks()
  await hooks.refreshSources()
  server.set('GET /api/webhooks/sources/', { body: { results: [source(1)] } })
  vi.useFakeTimers()
  hooks.hear([settled(2)])
  hooks.hear([call(2)])
  await vi.runAllTimersAsync()
  vi.useRealTimers()
  await vi.waitFor(() => expect(hooks.byId.get(1)?.call_count).toBe(1))
  expect(server.calls.filter((one) => one.path === '/api/webhooks/sources/')).toHaveLength(2)
})

it('keeps an execution that is told before its call', () => {
  const hooks = useWebhooks()
  hooks.addTrade(trade(10, { webhook: 2 }))
  hooks.hear([settled(2, { trades: [trade(10, { webhook: 2, status: 'pending', average_price: null, filled_quantity: '0' })] })])
  expect(verdictOf(hooks.calls[0])).toBe('executed')
  expect(outcomeOf(hooks.calls[0])).toContain('Achat')
})
