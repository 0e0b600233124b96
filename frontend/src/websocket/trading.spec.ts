import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ApiError } from '@/api/errors'
import { FakeTerminal } from '@/testing/terminal'
import { ANSWER_MS } from './trading'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const settle = () => vi.advanceTimersByTimeAsync(0)

it('answers each request with its own reply, in whatever order they come', async () => {
  const server = new FakeTerminal({ orders: { data: { results: [] } }, portfolio: { error: { code: 'unavailable', message: 'Terminal 5 absent' } } })
  server.client.connect()
  const orders = server.client.ask('orders', { broker: 1 })
  const portfolio = server.client.ask('portfolio', { broker: 1 }).catch((error: unknown) => error)
  await settle()
  expect(await orders).toEqual({ results: [] })
  expect(await portfolio).toMatchObject({ code: 'unavailable', message: 'Terminal 5 absent' })
})

it('asks again under the same id after the connection was cut, and tells the page to read again', async () => {
  const server = new FakeTerminal({ submit: 'silent' })
  const again = vi.fn()
  server.client.onReconnect(again)
  server.client.connect()
  await settle()
  const sent = server.client.ask('submit', { broker: 1, validation_id: 'v' })
  await settle()
  server.cut()
  server.replies.submit = { data: { trade: { id: 5 } } }
  await vi.advanceTimersByTimeAsync(1_000)
  expect(await sent).toEqual({ trade: { id: 5 } })
  const ids = server.of('submit').map((one) => one.request_id)
  expect(ids).toHaveLength(2)
  expect(new Set(ids).size).toBe(1)
  expect(again).toHaveBeenCalledTimes(1)
})

it('gives up in French when the server stays silent, and takes a wholly silent link for dead', async () => {
  const server = new FakeTerminal({ orders: 'silent' })
  server.client.connect()
  await settle()
  const failed = server.client.ask('orders', { broker: 1 }).catch((error: unknown) => error)
  await vi.advanceTimersByTimeAsync(ANSWER_MS)
  const error = (await failed) as ApiError
  expect(error).toBeInstanceOf(ApiError)
  expect(error.code).toBe('deadline_exceeded')
  expect(error.message).toBe('Le serveur Aristobot n’a pas répondu à la lecture des ordres ouverts en 10\u00A0s.')
  await vi.advanceTimersByTimeAsync(1_000)
  expect(server.ends).toHaveLength(2)
})

it('keeps the link when only one answer is missing', async () => {
  const server = new FakeTerminal({ orders: 'silent', portfolio: { data: {} } })
  server.client.connect()
  await settle()
  const failed = server.client.ask('orders', { broker: 1 }).catch((error: unknown) => error)
  await vi.advanceTimersByTimeAsync(1_000)
  await server.client.ask('portfolio', { broker: 1 })
  await vi.advanceTimersByTimeAsync(ANSWER_MS)
  expect(await failed).toMatchObject({ code: 'deadline_exceeded' })
  expect(server.ends).toHaveLength(1)
})

it('sends the user to the login page when the session has ended', async () => {
  const server = new FakeTerminal()
  const left = vi.fn()
  server.client.onUnauthenticated = left
  server.client.connect()
  await settle()
  server.cut(4401)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(left).toHaveBeenCalledTimes(1)
  expect(server.ends).toHaveLength(1)
})

it('delivers events to their listeners until they stop', async () => {
  const server = new FakeTerminal()
  const heard = vi.fn()
  server.client.connect()
  await settle()
  const stop = server.client.on('market/feed', heard)
  const feed = { broker: 1, symbol: 'BTC/USDT', state: 'live' as const, message: '' }
  server.emit('market/feed', feed)
  stop()
  server.emit('market/feed', feed)
  expect(heard).toHaveBeenCalledExactlyOnceWith(feed)
})
