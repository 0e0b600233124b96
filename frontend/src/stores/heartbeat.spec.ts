import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { Health } from '@/api/core'
import { candle, heartbeatStatus } from '@/testing/samples'
import { fakeServer } from '@/testing/server'
import { useHeartbeat } from './heartbeat'
import { useStatus } from './status'

const health = (state: 'up' | 'down', secondary: 'up' | 'down' | 'absent' = 'absent'): Health => ({
  status: 'ok',
  services: {
    heartbeat: { state, since: null, last_seen: new Date(Date.now() - 42_000).toISOString(), lag_ms: 1, details: {} },
    heartbeat_secondary: { state: secondary, since: null, last_seen: null, lag_ms: null, details: {} },
  },
})

beforeEach(() => setActivePinia(createPinia()))

it('keeps the closes of the reference market only', () => {
  const heartbeat = useHeartbeat()
  heartbeat.adopt({ status: heartbeatStatus(), candles: { '1m': [candle(2), candle(1)] }, forming: {}, incidents: [], runs: [] })
  heartbeat.addCandle(candle(3, { symbol: 'ETHUSDT' }))
  heartbeat.addCandle(candle(3))
  expect(heartbeat.candles['1m'].map((one) => [one.at / 60_000, one.live])).toEqual([[3, true], [2, false], [1, false]])
})

it('keeps what came live green when the page is read again', () => {
  const heartbeat = useHeartbeat()
  heartbeat.addCandle(candle(3))
  heartbeat.adopt({ status: heartbeatStatus(), candles: { '1m': [candle(4), candle(3)] }, forming: {}, incidents: [], runs: [] })
  expect(heartbeat.candles['1m'].map((one) => one.live)).toEqual([false, true])
})

it('reads again when a candle closed between the page’s reading and the first one it hears', async () => {
  const page = (...minutes: number[]) => ({ status: heartbeatStatus(), candles: { '1m': minutes.map((minute) => candle(minute)) }, forming: {}, incidents: [], runs: [] })
  fakeServer({ 'GET /api/heartbeat/': { body: page(4, 3, 2) } })
  const heartbeat = useHeartbeat()
  heartbeat.adopt(page(2))
  heartbeat.addCandle(candle(4))
  await vi.waitFor(() => expect(heartbeat.candles['1m'].map((one) => one.at / 60_000)).toEqual([4, 3, 2]))
})

describe('the pulse', () => {
  it('is unknown before the server has spoken', () => expect(useHeartbeat().pulse.label).toBe('Heartbeat inconnu'))

  it('is active while the service lives', () => {
    useStatus().setHealth(health('up'))
    expect(useHeartbeat().pulse).toMatchObject({ active: true, label: 'Heartbeat actif', dot: 'ok' })
  })

  it('says since when it is dead', () => {
    useStatus().setHealth(health('down'))
    expect(useHeartbeat().pulse).toMatchObject({ active: false, label: 'Heartbeat inactif depuis 42\u00A0s', dot: 'bad' })
  })

  it('is dead when the service lives but its connection does not', () => {
    useStatus().setHealth(health('up'))
    useHeartbeat().setStatus(heartbeatStatus({ is_connected: false }))
    expect(useHeartbeat().pulse.active).toBe(false)
  })

  it('turns orange on the secondary', () => {
    useStatus().setHealth(health('down', 'up'))
    expect(useHeartbeat().pulse).toMatchObject({ active: true, label: 'Heartbeat secondaire', dot: 'warn' })
  })

  it('says that trading is stopped when both are dead', () => {
    useStatus().setHealth(health('down', 'down'))
    expect(useHeartbeat().pulse).toMatchObject({ active: false, label: 'Heartbeats inactifs depuis 42\u00A0s : trading arrêté', dot: 'bad' })
  })

  it('turns orange when the primary lives without its market', () => {
    useStatus().setHealth(health('up', 'up'))
    useHeartbeat().setStatus(heartbeatStatus({ is_connected: false }))
    expect(useHeartbeat().pulse.label).toBe('Heartbeat secondaire')
  })
})

it('shows the state and the open candles of the source that carries', () => {
  const heartbeat = useHeartbeat()
  useStatus().setHealth(health('up', 'up'))
  heartbeat.setStatus(heartbeatStatus())
  heartbeat.setStatus(heartbeatStatus({ id: 2, source: 'secondary', messages_per_minute: 7 }))
  heartbeat.addForming({ '1m': candle(5, { source: 'secondary', close: '1' }) })
  expect([heartbeat.status?.source, heartbeat.forming['1m']]).toEqual(['primary', undefined])
  useStatus().setHealth(health('down', 'up'))
  heartbeat.addForming({ '1m': candle(5, { source: 'secondary', close: '1' }) })
  expect([heartbeat.status?.messages_per_minute, heartbeat.forming['1m']?.close]).toEqual([7, '1'])
})
