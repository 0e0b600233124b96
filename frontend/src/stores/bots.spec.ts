import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, it } from 'vitest'
import type { Trade } from '@/api/orders'
import { bot, decision, position, trade } from '@/testing/samples'
import { fakeServer } from '@/testing/server'
import { MAX_TRADES, useBots } from './bots'

beforeEach(() => setActivePinia(createPinia()))

it('merges a partial event into the bot it knows and keeps the rest', () => {
  const bots = useBots()
  bots.merge(bot({ trades: [trade(1)] }))
  bots.merge({ id: 1, state: 'suspended', is_active: false })
  expect(bots.byId[1]).toMatchObject({ state: 'suspended', strategy_name: 'Croisement EMA 10/20' })
  expect(bots.byId[1].trades).toHaveLength(1)
})

it('ignores a fragment of a bot it does not know, and takes a whole one', () => {
  const bots = useBots()
  bots.merge({ id: 9, state: 'running' })
  expect(bots.list).toEqual([])
  bots.merge(bot({ id: 9 }))
  expect(bots.list.map((one) => one.id)).toEqual([9])
})

it('updates a trade in place and keeps the ten newest', () => {
  const bots = useBots()
  bots.merge(bot({ trades: Array.from({ length: MAX_TRADES }, (_, i) => trade(MAX_TRADES - i)) }))
  bots.addTrade(trade(11, { status: 'pending' }))
  bots.addTrade(trade(11, { status: 'filled' }))
  expect(bots.byId[1].trades.map((one) => one.id)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2])
  expect(bots.byId[1].trades[0].status).toBe('filled')
})

it('lists a protection once it has sold, or while nobody knows', () => {
  const bots = useBots()
  bots.merge(bot({ trades: [trade(1)] }))
  const leg = (over: Partial<Trade>) => trade(2, { side: 'sell', type: 'stop_loss', intent: 'protection', filled_quantity: '0', ...over })
  const shown = (over: Partial<Trade>) => (bots.addTrade(leg(over)), bots.byId[1].trades.map((one) => one.id))
  expect(shown({ status: 'open' })).toEqual([1])
  expect(shown({ status: 'unknown' })).toEqual([2, 1])
  expect(shown({ status: 'expired' })).toEqual([1])
  expect(shown({ status: 'filled', filled_quantity: '0.06' })).toEqual([2, 1])
})

it('opens, follows and closes the position', () => {
  const bots = useBots()
  bots.merge(bot())
  bots.setPosition(position())
  bots.setPosition(position({ unrealized_pnl: '20' }))
  expect(bots.byId[1].position?.unrealized_pnl).toBe('20')
  bots.setPosition(position({ id: 3, status: 'closed' }))
  expect(bots.byId[1].position).not.toBeNull()
  bots.setPosition(position({ status: 'closed' }))
  expect(bots.byId[1].position).toBeNull()
})

it('shows the newest decision, whatever order they come in', () => {
  const bots = useBots()
  bots.merge(bot({ last_decision: null }))
  bots.addDecision({ ...decision({ id: 2, close_time: '2026-11-22T12:15:00Z' }), bot: 1 })
  bots.addDecision({ ...decision({ id: 3, close_time: '2026-11-22T12:00:00Z', status: 'missed' }), bot: 1 })
  expect(bots.byId[1].last_decision?.id).toBe(2)
  expect(bots.feed.map((one) => one.id)).toEqual([2, 3])
})

it('lets an event that came while the list was on its way win over the older list', async () => {
  const bots = useBots()
  fakeServer({
    'GET /api/bots/': () => {
      bots.follow({ id: 1, state: 'paused_error', pause_reason: 'division par zéro' })
      return { body: { results: [bot({ id: 1, state: 'running' })], next: null } }
    },
  })
  await bots.refresh()
  expect(bots.byId[1]).toMatchObject({ state: 'paused_error', pause_reason: 'division par zéro' })
  await bots.refresh()
  bots.merge({ id: 1, state: 'running' })
  expect(bots.byId[1].state).toBe('running')
})

it('forgets what came during a fetch that failed: the next list is newer', async () => {
  const bots = useBots()
  let fails = true
  fakeServer({
    'GET /api/bots/': () => {
      if (fails) {
        bots.follow({ id: 1, state: 'paused_error' })
        return { status: 503, body: { code: 'down', message: 'arrêté', details: {} } }
      }
      return { body: { results: [bot({ id: 1, state: 'running' })], next: null } }
    },
  })
  await expect(bots.refresh()).rejects.toThrow()
  fails = false
  await bots.refresh()
  expect(bots.byId[1].state).toBe('running')
})

it('reads every page of the list', async () => {
  fakeServer({
    'GET /api/bots/': ({ search }) => ({
      body: search.includes('cursor=two')
        ? { results: [bot({ id: 2, state: 'paused_error' })], next: null }
        : { results: [bot({ id: 1 })], next: 'http://elsewhere/api/bots/?cursor=two&limit=100' },
    }),
  })
  const bots = useBots()
  await bots.refresh()
  expect(bots.list.map((one) => one.id)).toEqual([2, 1])
  expect(bots.inError).toBe(1)
})

it('is not taken back in time by an answer that events have overtaken', async () => {
  fakeServer({
    'POST /api/bots/1/sell/': { body: bot({ position: position({ status: 'closing' }), trades: [trade(2, { status: 'sending' })], realized_pnl: '0' }) },
    'GET /api/bots/': { body: { results: [bot({ position: position(), trades: [trade(2, { status: 'pending' })] })], next: null } },
  })
  const bots = useBots()
  bots.merge(bot({ position: position() }))
  const selling = bots.sell(1)
  bots.addTrade(trade(2, { status: 'filled' }))
  bots.setPosition(position({ status: 'closed' }))
  bots.merge({ id: 1, realized_pnl: '12.36' })
  await selling
  expect(bots.byId[1]).toMatchObject({ position: null, realized_pnl: '12.36' })
  expect(bots.byId[1].trades[0].status).toBe('filled')
  await bots.refresh()
  expect(bots.byId[1].position).toBeNull()
  expect(bots.byId[1].trades[0].status).toBe('filled')
})

it('shows a new position after the last one was closed', () => {
  const bots = useBots()
  bots.merge(bot({ position: position() }))
  bots.setPosition(position({ status: 'closed' }))
  bots.setPosition(position({ opened_at: '2026-11-22T12:30:00Z' }))
  expect(bots.byId[1].position?.opened_at).toBe('2026-11-22T12:30:00Z')
})
