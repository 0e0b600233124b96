import { afterEach, expect, it, vi } from 'vitest'
import { fakeServer } from '@/testing/server'
import { fetchBots, stopBot } from './bots'
import { setUnauthenticatedHandler } from './client'
import { fetchHealth } from './core'
import { login } from './session'
import { ApiError } from './errors'

afterEach(() => {
  document.cookie = 'csrftoken=; max-age=0'
  setUnauthenticatedHandler(() => undefined)
})

it('carries the CSRF token on what changes something, and only there', async () => {
  const seen: (string | null)[] = []
  document.cookie = 'csrftoken=abc'
  vi.stubGlobal('fetch', async (request: Request) => {
    seen.push(request.headers.get('X-CSRFToken'))
    return Response.json({})
  })
  await fetchHealth()
  await login('dac', 'secret')
  expect(seen).toEqual([null, 'abc'])
})

it('raises the server’s own words, and knows which field they are about', async () => {
  const body = { code: 'invalid_input', message: 'Date illisible', details: { fields: { start_date: ['Date illisible'] } } }
  fakeServer({ 'POST /api/bots/1/stop/': { status: 400, body } })
  const error = await stopBot(1, { confirm: true, sell: false }).catch((cause: unknown) => cause as ApiError)
  expect(error).toMatchObject({ code: 'invalid_input', message: 'Date illisible', status: 400 })
  expect((error as ApiError).field('start_date')).toBe('Date illisible')
  expect((error as ApiError).field('symbol')).toBeUndefined()
})

it('says that the server does not answer', async () => {
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')))
  await expect(fetchHealth()).rejects.toMatchObject({ code: 'unreachable' })
})

it('does not take a proxy’s page for an answer', async () => {
  vi.stubGlobal('fetch', async () => new Response('<html>502</html>', { status: 502 }))
  await expect(fetchHealth()).rejects.toThrow('HTTP 502')
})

it('tells when nobody is logged in any more', async () => {
  const away = vi.fn()
  setUnauthenticatedHandler(away)
  fakeServer({ 'GET /api/bots/': { status: 403, body: { code: 'not_authenticated', message: 'Connexion requise', details: {} } } })
  await expect(fetchBots()).rejects.toThrow('Connexion requise')
  expect(away).toHaveBeenCalledTimes(1)
})
