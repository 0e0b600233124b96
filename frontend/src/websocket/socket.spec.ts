import { beforeEach, describe, expect, it, vi } from 'vitest'
import { backOffMs, UNAUTHENTICATED, type Link, type SocketLike } from './connection'
import { LiveSocket } from './socket'

class FakeSocket implements SocketLike {
  sent: unknown[] = []
  closedByUs = false
  onopen: (() => void) | null = null
  onclose: ((event: { code: number }) => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null
  send(text: string): void {
    this.sent.push(JSON.parse(text))
  }
  close(): void {
    this.closedByUs = true
  }
  event(topic: string, type: string, data: unknown, v = 1): void {
    this.onmessage?.({ data: JSON.stringify({ v, topic, type, id: 'x', data, sent_at: '' }) })
  }
}

let sockets: FakeSocket[]
let timers: { run: () => void; delay: number; cancelled: boolean }[]
let links: Link[]
let live: LiveSocket

const last = (): FakeSocket => sockets[sockets.length - 1]
const due = (delay: number) => timers.filter((timer) => !timer.cancelled && timer.delay === delay)

beforeEach(() => {
  sockets = []
  timers = []
  links = []
  live = new LiveSocket({
    open: () => {
      const socket = new FakeSocket()
      sockets.push(socket)
      return socket
    },
    now: () => 1_000_000,
    random: () => 1,
    schedule: (run, delay) => {
      const timer = { run, delay, cancelled: false }
      timers.push(timer)
      return timer
    },
    cancel: (handle) => {
      ;(handle as { cancelled: boolean }).cancelled = true
    },
  })
  live.watch((link) => links.push(link))
})

describe('subscriptions', () => {
  it('are sent once per topic, on opening', () => {
    live.on('bots/bot', () => undefined)
    live.on('bots/decision', () => undefined)
    live.connect()
    expect(last().sent).toEqual([])
    last().onopen?.()
    expect(last().sent).toEqual([{ type: 'subscribe', topics: ['bots'] }])
  })

  it('leave the topic when the last listener stops', () => {
    live.connect()
    last().onopen?.()
    const stopFirst = live.on('bots/bot', () => undefined)
    const stopSecond = live.on('bots/decision', () => undefined)
    stopFirst()
    stopFirst()
    expect(last().sent).toEqual([{ type: 'subscribe', topics: ['bots'] }])
    stopSecond()
    expect(last().sent[1]).toEqual({ type: 'unsubscribe', topics: ['bots'] })
  })

  it('deliver the data of their own kind only', () => {
    const seen = vi.fn()
    live.on('bots/bot', (bot) => seen(bot.id))
    live.connect()
    last().onopen?.()
    last().event('bots', 'bot', { id: 4 })
    last().event('bots', 'decision', { id: 5 })
    last().event('bots', 'bot', { id: 6 }, 2)
    last().onmessage?.({ data: '{not json' })
    expect(seen.mock.calls).toEqual([[4]])
  })
})

describe('a lost connection', () => {
  it('waits 1, 2, 4 … 30 s and says when it tries again', () => {
    expect([0, 1, 2, 5, 9].map((attempt) => backOffMs(attempt, 1))).toEqual([1000, 2000, 4000, 30_000, 30_000])
    expect(backOffMs(0, 0)).toBe(500)
    live.connect()
    last().onopen?.()
    last().onclose?.({ code: 1006 })
    expect(links.at(-1)).toEqual({ state: 'lost', retryAt: 1_001_000 })
    due(1000)[0].run()
    last().onclose?.({ code: 1006 })
    expect(links.at(-1)).toEqual({ state: 'lost', retryAt: 1_002_000 })
  })

  it('subscribes again and asks for a refetch once it is back', () => {
    const refetch = vi.fn()
    live.onReconnect(refetch)
    live.on('bots/bot', () => undefined)
    live.connect()
    last().onopen?.()
    expect(refetch).not.toHaveBeenCalled()
    last().onclose?.({ code: 1006 })
    due(1000)[0].run()
    last().onopen?.()
    expect(last().sent).toEqual([{ type: 'subscribe', topics: ['bots'] }])
    expect(refetch).toHaveBeenCalledTimes(1)
    expect(links.at(-1)).toEqual({ state: 'open', retryAt: null })
  })

  it('is noticed by silence while the status topic is followed', () => {
    live.on('status/health', () => undefined)
    live.connect()
    last().onopen?.()
    due(15_000)[0].run()
    expect(sockets[0].closedByUs).toBe(true)
    expect(links.at(-1)?.state).toBe('lost')
  })

  it('can be retried at once', () => {
    live.connect()
    last().onopen?.()
    last().onclose?.({ code: 1006 })
    live.retryNow()
    expect(sockets).toHaveLength(2)
    expect(due(1000)).toHaveLength(0)
  })
})

it('does not retry when the server says nobody is logged in', () => {
  const anonymous = vi.fn()
  live.onUnauthenticated = anonymous
  live.connect()
  last().onclose?.({ code: UNAUTHENTICATED })
  expect(anonymous).toHaveBeenCalledTimes(1)
  expect(timers.filter((timer) => !timer.cancelled)).toHaveLength(0)
  expect(links.at(-1)).toEqual({ state: 'closed', retryAt: null })
})

it('ignores a socket it has already left', () => {
  live.connect()
  const first = last()
  live.disconnect()
  live.connect()
  first.onclose?.({ code: 1006 })
  expect(links.at(-1)?.state).toBe('connecting')
})
