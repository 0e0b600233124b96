import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'
import type { Bot } from '@/api/bots'
import { bot, position } from '@/testing/samples'
import { fakeServer } from '@/testing/server'
import BotsView from './BotsView.vue'

afterEach(cleanup)

const strategy = (id: number, name: string) => ({
  id, name, description: '', code: '', timeframe: '15m', created_at: '2026-11-20T00:00:00Z', updated_at: '2026-11-20T00:00:00Z',
})
const ALPHABET = [strategy(5, 'Acheter et garder'), strategy(1, 'Croisement EMA 10/20'), strategy(9, 'RSI')]
const broker = {
  id: 1, name: 'Simulateur', exchange: 'simex', exchange_name: 'Simulateur', is_default: true, is_testnet: false, is_active: true,
  mode: 'simulation', api_key_hint: '', markets: {},
}

/** Opens the page and lets it ask for all it needs. */
async function open(bots: Bot[], address = '/bots'): Promise<void> {
  const page = (results: unknown[]) => ({ body: { results, next: null } })
  const decisions = Object.fromEntries(bots.map(({ id }) => [`GET /api/bots/${id}/decisions/`, page([])]))
  const server = fakeServer({
    ...decisions,
    'GET /api/bots/': page(bots),
    'GET /api/strategies/': page(ALPHABET),
    'GET /api/brokers/': page([broker]),
    'GET /api/symbols/': page([{ symbol: 'ETH/USDT', active: true }]),
    'GET /api/brokers/1/balance/': { body: { currencies: [] } },
  })
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/bots', component: BotsView }] })
  await router.push(address)
  render(BotsView, { global: { plugins: [createPinia(), router] } })
  await screen.findByRole('region', { name: 'Stratégies actives' })
  const asked = (path: string) => server.calls.filter((call) => call.path === path).length
  await waitFor(() => expect(asked('/api/brokers/1/balance/')).toBe(1))
  // Once for the proposal, once by the field itself: nothing is left to ask when the test ends.
  await waitFor(() => expect(asked('/api/symbols/')).toBe(2))
}

const cards = async () => within(await screen.findByRole('region', { name: 'Stratégies actives' })).queryAllByRole('article')
const names = async () => (await cards()).map((card) => card.getAttribute('aria-label'))

it('folds stopped bots away, but never one that still holds a position or a place', async () => {
  const stopped = { state: 'stopped', is_active: false } as const
  await open([
    bot({ id: 4, symbol: 'SOL/USDT', state: 'ended' }),
    bot({ id: 3, symbol: 'ETH/USDT', ...stopped, position: position({ bot: 3 }) }),
    bot({ id: 2, symbol: 'BNB/USDT', ...stopped }),
    bot({ id: 1 }),
  ])
  const shown = ['SOL', 'ETH', 'BTC'].map((base) => `Croisement EMA 10/20, ${base}/USDT`)
  await waitFor(async () => expect(await names()).toEqual(shown))
  await fireEvent.click(screen.getByRole('button', { name: /Afficher 1.bot arrêté/ }))
  expect(await names()).toEqual([...shown, 'Croisement EMA 10/20, BNB/USDT'])
})

it('proposes the example rather than the first strategy of the alphabet', async () => {
  await open([])
  expect((await screen.findByLabelText('Stratégie')).textContent).toContain('Croisement EMA 10/20')
})

it('proposes the strategy last put to work, unless it failed', async () => {
  await open([bot({ id: 3, strategy: 5, state: 'paused_error', pause_reason: 'KeyError' }), bot({ id: 2, strategy: 9 }), bot({ id: 1, strategy: 1 })])
  expect((await screen.findByLabelText('Stratégie')).textContent).toContain('RSI')
})

it('takes over the settings of a backtest that its address names', async () => {
  const params = encodeURIComponent(JSON.stringify({ rapide: 12 }))
  await open([], `/bots?strategy=9&broker=1&symbol=ETH/USDT&timeframe=4h&params=${params}`)
  const form = within(screen.getByRole('region', { name: 'Activer une stratégie' }))
  await waitFor(() => expect(form.getByLabelText('Unité de temps').textContent).toContain('4h'))
  expect(form.getByLabelText('Stratégie').textContent).toContain('RSI')
  expect((form.getByLabelText('Symbole') as HTMLInputElement).value).toBe('ETH/USDT')
})
