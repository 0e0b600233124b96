import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, expect, it, vi } from 'vitest'
import { nextTick } from 'vue'
import { createMemoryHistory, createRouter } from 'vue-router'
import type { Run } from '@/api/backtests'
import { useBacktests } from '@/stores/backtests'
import { useHeartbeat } from '@/stores/heartbeat'
import { broker, heartbeatStatus, liveRun, metrics, run } from '@/testing/samples'
import { fakeServer, type Answer } from '@/testing/server'
import BacktestView from './BacktestView.vue'

// Canvas and CodeMirror need a real browser: the journey of the end-to-end tests draws them.
vi.mock('@/components/backtest/RunChartCard.vue', () => ({ default: { template: '<div />' } }))
vi.mock('@/components/charts/CurvesChart.vue', () => ({ default: { template: '<div />' } }))
vi.mock('@/components/strategies/StrategyDrawer.vue', () => ({ default: { template: '<div />' } }))
afterEach(cleanup)
afterEach(() => localStorage.clear())

const page = (results: unknown[]) => ({ body: { results, next: null } })
const SPEC = { name: 'rapide', label: 'EMA rapide', type: 'int', default: 10, min: 2, max: 50, step: 1, choices: [] }
const STRATEGY = { id: 1, name: 'Croisement EMA 10/20', description: '', code: '', timeframe: '15m', params: [SPEC], version: 7, created_at: '', updated_at: '' }

const OFFER = {
  market: { symbol: 'BTC/USDT', base: 'BTC', quote: 'USDT', min_quantity: '0.00001', min_notional: '5' },
  fees: { maker_ratio: '0.0002', taker_ratio: '0.0004', origin: 'account', words: 'ceux du compte « Principal »' },
  amount: { value: '250.5', origin: 'balance' }, slippage_ratio: '0.0005',
  candles: { exchange_name: 'Simulateur', kept: [{ start: '2026-03-02T00:00:00Z', end: '2026-03-04T00:00:00Z' }], kept_count: 2880, available_until: '2026-03-05T12:00:00Z' },
}

async function open(runs: Run[], answers: Record<string, Answer> = {}, strategies: unknown[] = [STRATEGY]) {
  const server = fakeServer({
    'GET /api/backtests/': page(runs),
    'GET /api/backtests/sweeps/': page([]),
    'GET /api/strategies/': page(strategies),
    'GET /api/brokers/': page([broker()]),
    'GET /api/backtests/offer/': { body: OFFER },
    'GET /api/symbols/': page([{ symbol: 'BTC/USDT', active: true }]),
    'GET /api/backtests/1/equity/': { body: { curve: { time: [], equity: [], drawdown: [], buy_and_hold: [] }, candles: [], candle_ms: 3_600_000, markers: [] } },
    'GET /api/backtests/1/trades/': { body: { count: 0, next: null, previous: null, results: [] } },
    ...answers,
  })
  const router = createRouter({ history: createMemoryHistory(), routes: ['/', '/bots', '/account'].map((path) => ({ path, name: path.slice(1) || 'backtest', component: BacktestView })) })
  await router.push('/')
  const pinia = createPinia()
  render(BacktestView, { global: { plugins: [pinia, router] } })
  await screen.findByLabelText('Montant de départ')
  return { server, store: useBacktests(pinia), router }
}
const launch = () => screen.getByRole('button', { name: 'Lancer le backtest' })

it('sends what is typed, as exact ratios, and shows the run that was made until its result is there', async () => {
  const { server, store } = await open([], { 'POST /api/backtests/': ({ body }) => ({ status: 201, body: { ...liveRun({ id: 1 }), ...(body as object) } }) })
  await screen.findByText('Aucun backtest affiché.')
  await waitFor(() => expect((screen.getByLabelText('Symbole') as HTMLInputElement).value).toBe('BTC/USDT'))
  await screen.findByText(/^Taker de votre compte/)
  await fireEvent.update(screen.getByLabelText('Montant de départ'), '1 000,50')
  await fireEvent.update(screen.getByLabelText('Frais'), '0,075')
  await fireEvent.update(screen.getByLabelText('EMA rapide'), '12')
  await fireEvent.click(launch())
  await screen.findByText('En file d’attente')
  const sent = server.calls.find((call) => call.method === 'POST')?.body
  expect(sent).toMatchObject({ strategy: 1, broker: 1, symbol: 'BTC/USDT', timeframe: '15m', initial_amount: '1000.50', fee_ratio: '0.00075', slippage_ratio: '0.0005', params: { rapide: 12 } })
  store.follow({ id: 1, kind: 'run', phase: 'loading', progress: 0.42, detail: '' })
  expect(await screen.findByRole('button', { name: 'Interrompre le chargement' })).toBeTruthy()
  expect(screen.getByRole('progressbar', { name: 'Bougies' }).getAttribute('aria-valuenow')).toBe('42')
  store.merge(run({ id: 1 }))
  expect(await screen.findByText('Aucun biais d’anticipation')).toBeTruthy()
})

it('fills what nobody typed from the account, says where it comes from, and leaves the fees to the server', async () => {
  const { server } = await open([], { 'POST /api/backtests/': ({ body }) => ({ status: 201, body: { ...liveRun({ id: 1 }), ...(body as object) } }) })
  await screen.findByText('Taker de votre compte, maker 0,02 %')
  expect((screen.getByLabelText('Frais') as HTMLInputElement).value).toBe('0,04')
  expect((screen.getByLabelText('Montant de départ') as HTMLInputElement).value).toBe('250,5')
  expect(screen.getByText('Solde libre, min. 5 USDT et 0,00001 BTC')).toBeTruthy()
  expect(screen.getByText(/En base : 2.880, du 26.03.02 au 26.03.04/).title).toContain('Simulateur va jusqu’au 26.03.05_12:00')
  await fireEvent.click(launch())
  await waitFor(() => expect(server.calls.some((call) => call.method === 'POST')).toBe(true))
  const sent = server.calls.find((call) => call.method === 'POST')?.body as Record<string, unknown>
  expect([sent['initial_amount'], 'fee_ratio' in sent, sent['slippage_ratio']]).toEqual(['250.5', false, '0.0005'])
})

it('proposes the strategy one worked with last on any page, before the one backtested last', async () => {
  localStorage.setItem('aristobot.strategy', '2')
  await open([run({ id: 1, strategy: 1 })], {}, [STRATEGY, { ...STRATEGY, id: 2, name: 'À peine enregistrée', params: [] }])
  await waitFor(() => expect(screen.getByRole('combobox', { name: /^Stratégie/ }).textContent).toContain('À peine enregistrée'))
})

it('asks for an amount when neither the account nor the exchange answers', async () => {
  await open([], { 'GET /api/backtests/offer/': { status: 503, body: { code: 'unavailable', message: 'Service CCXT muet.', details: {} } } })
  await screen.findByText(/^Solde non lu : saisissez un montant/)
  expect(launch().hasAttribute('disabled')).toBe(true)
  await fireEvent.update(screen.getByLabelText('Montant de départ'), '500')
  await waitFor(() => expect(launch().hasAttribute('disabled')).toBe(false))
})

it('proposes the market’s own dates when its clock is known before the brokers are', async () => {
  let release: () => void = () => undefined
  const held = new Promise<void>((done) => (release = done))
  const opening = open([], {
    'GET /api/heartbeat/': { body: { status: null, candles: {}, forming: {}, incidents: [], runs: [] } },
    'GET /api/brokers/': page([broker({ exchange: 'simex' })]),
  })
  const answered = globalThis.fetch
  vi.stubGlobal('fetch', async (input: Request) => {
    if (input.url.includes('/api/brokers/')) await held
    return answered(input)
  })
  await screen.findByRole('heading', { name: 'Nouveau' })
  useHeartbeat().setStatus(heartbeatStatus({ market_time: '2022-01-20T04:34:00Z' })) // the socket was quicker
  await nextTick()
  release()
  await opening
  expect((screen.getByLabelText('Au') as HTMLInputElement).value).toBe('22.01.20')
})

it('says what is wrong under its field, and does not let it be sent', async () => {
  await open([])
  await waitFor(() => expect(launch().hasAttribute('disabled')).toBe(false))
  await fireEvent.update(screen.getByLabelText('Au'), '20.01.01')
  expect((await screen.findByText('La fin doit suivre le début')).getAttribute('role')).toBe('alert')
  expect(launch().hasAttribute('disabled')).toBe(true)
  await fireEvent.update(screen.getByLabelText('EMA rapide'), '99')
  expect((await screen.findByText(/Au plus/)).textContent).toContain('50')
})

it('cancels a run in either phase, and tells a cancelled one from a failed one', async () => {
  const { server, store } = await open([liveRun({ id: 1, status: 'running', phase_progress: 0.3 })], { 'POST /api/backtests/1/cancel/': { body: liveRun({ id: 1, status: 'running', phase_progress: 0.3, cancel_requested: true }) } })
  await fireEvent.click(await screen.findByRole('button', { name: 'Interrompre la simulation' }))
  await waitFor(() => expect(server.calls.some((call) => call.path.endsWith('/cancel/'))).toBe(true))
  store.merge(liveRun({ id: 1, status: 'cancelled' }))
  expect(await screen.findByText('Backtest interrompu')).toBeTruthy()
})

it('says nothing of trades that are still on their way, nor those of another run', async () => {
  let release: () => void = () => undefined
  const held = new Promise<void>((done) => (release = done))
  const { store } = await open([liveRun({ id: 1, status: 'running' })])
  const answered = globalThis.fetch
  vi.stubGlobal('fetch', async (input: Request) => {
    if (input.url.includes('/trades/')) await held
    return answered(input)
  })
  store.merge(run({ id: 1, total_trades: 403 }))
  expect((await screen.findByRole('tab', { name: /^Trades/ })).textContent).toContain('403')
  const card = within(screen.getByRole('region', { name: 'Trades simulés' }))
  expect(card.getByRole('status').textContent).toContain('Chargement')
  expect(card.queryByText(/Aucun trade/)).toBeNull()
  release()
  expect(await card.findByText(/Aucun trade/)).toBeTruthy()
})

it('compares two runs and warns when they do not start from the same rules', async () => {
  await open([run({ id: 2, timeframe: '4h', metrics: metrics({ sharpe: 2 }) }), run({ id: 1, metrics: metrics({ sharpe: 1 }) })], {
    'GET /api/backtests/2/equity/': { body: { curve: { time: [], equity: [], drawdown: [], buy_and_hold: [] }, candles: [], candle_ms: 1, markers: [] } },
    'GET /api/backtests/2/trades/': { body: { count: 0, next: null, previous: null, results: [] } },
  })
  for (const box of await screen.findAllByRole('checkbox', { name: /^Comparer/ })) await fireEvent.click(box)
  await fireEvent.click(screen.getByRole('button', { name: 'Comparer (2)' }))
  const panel = within(await screen.findByRole('region', { name: 'Comparaison de 2 backtests' }))
  expect(panel.getByText(/ne partent pas des mêmes hypothèses/).parentElement?.textContent).toContain('Unité de temps')
  expect(panel.getByRole('row', { name: /^Sharpe/ }).textContent).toMatch(/2,00.*1,00|1,00.*2,00/)
})

it('leads a newcomer without a strategy to making one', async () => {
  await open([], {}, [])
  expect(await screen.findByText(/Aucune stratégie sur ce compte/)).toBeTruthy()
  expect(screen.getByRole('button', { name: 'En créer une' })).toBeTruthy()
})
