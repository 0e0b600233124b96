import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import { fakeServer } from '@/testing/server'
import RestoredBanner from './RestoredBanner.vue'

afterEach(cleanup)

const waiting = {
  waiting: true, backup_taken_at: '2026-11-26T21:00:00Z', restored_at: '2026-11-26T22:00:00Z', host: 'atelier', bots: 2,
  settled: {}, report: null as unknown, reconciled_at: null,
}
const report = {
  found: 1, unknown: 0, failures: ['Binance : clé refusée'],
  orders: [{ id: 7, symbol: 'XRP/ETH', side: 'sell', quantity: '10', price: '0.0015', status: 'filled' }],
  positions: [{ id: 3, symbol: 'XRP/ETH', owner: 'bot:1', quantity: '10', held: '0' }],
}

function open(body: object) {
  const server = fakeServer({
    'GET /api/restoration/': { body },
    'POST /api/restoration/confirm/': { body: { resumed: 2, closed: 1, refusals: [] } },
    'GET /api/bots/': { body: { next: null, previous: null, results: [] } },
  })
  render(RestoredBanner, { global: { plugins: [createPinia()] } })
  return server
}

it('says nothing when nothing was restored', async () => {
  const server = open({ waiting: false })
  await waitFor(() => expect(server.calls.length).toBe(1))
  expect(screen.queryByRole('region')).toBeNull()
})

it('lets nobody confirm before the exchanges were asked', async () => {
  open(waiting)
  const button = await screen.findByRole('button', { name: /reprendre 2.bots/ })
  expect((button as HTMLButtonElement).disabled).toBe(true)
  expect(screen.getByRole('status').textContent).toContain('Vos exchanges sont interrogés')
})

it('shows what was found and goes away once confirmed', async () => {
  const server = open({ ...waiting, report })
  await screen.findByText(/^1.ordre inconnu/)
  screen.getByText('XRP/ETH : 10 attendus, 0 sur le compte')
  screen.getByText('Compte non vérifié : Binance : clé refusée')
  await fireEvent.click(screen.getByRole('button', { name: /reprendre 2.bots/ }))
  await waitFor(() => expect(screen.queryByRole('region')).toBeNull())
  expect(server.calls.some((call) => call.method === 'POST' && call.path === '/api/restoration/confirm/')).toBe(true)
})
