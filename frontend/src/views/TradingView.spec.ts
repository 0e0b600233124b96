import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia, setActivePinia, type Pinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'
import type { OrderLine } from '@/components/charts/candleChart'
import type { Health } from '@/api/core'
import { useStatus } from '@/stores/status'
import { useToasts } from '@/stores/toasts'
import { useTrading } from '@/stores/trading'
import { market, NO_PAIR, order, replies, selection } from '@/testing/desk'
import { broker, position } from '@/testing/samples'
import { fakeServer } from '@/testing/server'
import { FakeTerminal, type Replies } from '@/testing/terminal'
import TradingView from './TradingView.vue'

/** What the chart was told to draw; prices go from 100 000 at the top down by 1 per pixel. */
const chart = vi.hoisted(() => ({ lines: [] as { id: number; price: number }[], held: [] as boolean[] }))
vi.mock('@/components/charts/candleChart', () => ({
  CandleChart: class {
    onHover = (): void => undefined
    onLeftEdge = (): void => undefined
    setLines(lines: OrderLine[]): void {
      chart.lines = lines
    }
    lineAt(y: number): OrderLine | null {
      return (chart.lines as OrderLine[]).find((line) => line.draggable && Math.abs(100_000 - line.price - y) < 7) ?? null
    }
    priceAt = (y: number): number => 100_000 - y
    hold = (held: boolean): number => chart.held.push(held)
    dress(): void {}
    setBars(): void {}
    setMarks(): void {}
    update(): void {}
    moveLine(): void {}
    remove(): void {}
  },
}))

let server: FakeTerminal
let pinia: Pinia

beforeEach(() => {
  localStorage.clear()
  pinia = createPinia()
  setActivePinia(pinia)
})
afterEach(() => {
  cleanup()
  server.client.disconnect()
})

async function open(over: Replies = {}, brokers = [broker()]): Promise<void> {
  fakeServer({ 'GET /api/brokers/': { body: { results: brokers, next: null } }, 'POST /api/brokers/1/load-markets/': { body: broker() } })
  server = new FakeTerminal(replies(over)).install()
  const blank = { render: () => null }
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/', component: blank }, { path: '/account', name: 'account', component: blank }] })
  render(TradingView, { global: { plugins: [pinia, router] } })
}

const ticket = async () => within(await screen.findByRole('region', { name: 'Passer un ordre' }))
const press = (key: string, over: object = {}) => fireEvent.keyDown(document.body, { key, ...over })

async function writeLimit(): Promise<void> {
  const form = await ticket()
  await fireEvent.update(form.getByLabelText('Prix limite'), '93850')
  await fireEvent.update(form.getByLabelText('Quantité'), '0,02')
  await form.findByText('Nécessaire')
}

describe('what is there to trade with', () => {
  it('says what to do without a broker', async () => {
    await open({}, [])
    expect(await screen.findByText(/Aucun broker actif/)).toBeTruthy()
    expect(screen.getByRole('link', { name: /Ajouter un broker/ }).getAttribute('href')).toBe('/account')
  })

  it('offers to load markets that are not there yet', async () => {
    await open({ symbols: { data: { results: [], total: 0 } } })
    await fireEvent.click(await screen.findByRole('button', { name: 'Charger les marchés' }))
    const asked = server.of('symbols').length
    await waitFor(() => expect(server.of('symbols').length).toBeGreaterThan(asked))
  })

  it('says that a market is halted', async () => {
    await open({ market: { data: market({ active: false }) } })
    expect(await screen.findByText('Marché suspendu par l’exchange')).toBeTruthy()
    expect(screen.getByText(/aucun ordre n’y est accepté/)).toBeTruthy()
  })

  it('keeps a type that the exchange lacks in sight, with its reason', async () => {
    await open()
    const button = (await ticket()).getByRole('button', { name: 'SL + TP' }) as HTMLButtonElement
    expect(button.disabled).toBe(true)
    expect(button.parentElement?.title).toBe(NO_PAIR)
    expect(document.getElementById(button.getAttribute('aria-describedby') ?? '')?.textContent).toBe(NO_PAIR)
  })
})

/** What the server last said of terminal 5. */
function gatewayIs(state: 'up' | 'down'): void {
  const service = { state, since: '2026-11-26T10:00:00Z', last_seen: '2026-11-26T14:35:07Z', lag_ms: 1, details: {} }
  useStatus().setHealth({ status: 'ok', services: { ccxt_service: service } } as Health)
}

describe('terminal 5', () => {
  it('is said to be dead, with its reason at every button that needs it, and all comes back with it', async () => {
    await open()
    await writeLimit()
    const form = await ticket()
    const button = form.getByRole('button', { name: 'Valider' }) as HTMLButtonElement
    expect(button.disabled).toBe(false)
    gatewayIs('down')
    expect((await screen.findByRole('alert')).textContent).toContain('Le service d’échange (terminal 5) est arrêté : dernier signe de vie à 14:35:07.')
    expect(button.disabled).toBe(true)
    expect(button.title).toContain('Aucun ordre ne part avant son retour.')
    expect(form.getByRole('status', { name: 'État de la validation' }).textContent).toContain('terminal 5')
    expect((screen.getByRole('button', { name: 'Modifier' }) as HTMLButtonElement).disabled).toBe(true)
    expect((screen.getByRole('button', { name: 'Supprimer' }) as HTMLButtonElement).disabled).toBe(false)
    const read = server.of('candles').length
    gatewayIs('up')
    await waitFor(() => expect(button.disabled).toBe(false))
    expect(screen.queryByRole('alert')).toBeNull()
    await waitFor(() => expect(server.of('candles').length).toBeGreaterThan(read))
  })
})

describe('executing', () => {
  it('asks once more before real money leaves', async () => {
    await open({ select: { data: selection({ mode: 'real' }) } })
    await writeLimit()
    const form = await ticket()
    await fireEvent.click(form.getByRole('button', { name: 'Valider' }))
    await form.findByText('Validé : prêt à exécuter')
    await fireEvent.click(form.getByRole('button', { name: 'Exécuter l’achat' }))
    const dialog = within(await screen.findByRole('dialog', { name: 'Ordre en argent réel' }))
    expect(server.of('submit')).toHaveLength(0)
    await fireEvent.click(dialog.getByRole('button', { name: 'Exécuter l’achat' }))
    await waitFor(() => expect(server.of('submit')).toHaveLength(1))
    expect(await form.findByText('Ordre n° 12 enregistré')).toBeTruthy()
  })

  it('is done from the keyboard, which sleeps in a field', async () => {
    await open()
    const form = await ticket()
    await press('e')
    expect(form.getByRole('button', { name: 'Vente' }).getAttribute('aria-pressed')).toBe('true')
    await fireEvent.keyDown(form.getByLabelText('Quantité'), { key: 'a' })
    expect(form.getByRole('button', { name: 'Vente' }).getAttribute('aria-pressed')).toBe('true')
    await press('a')
    await writeLimit()
    await press('Enter')
    expect(server.of('submit')).toHaveLength(0)
    await press('v')
    await form.findByText('Validé : prêt à exécuter')
    await fireEvent.keyDown(form.getByLabelText('Quantité'), { key: 'Enter', ctrlKey: true })
    await waitFor(() => expect(server.of('submit')).toHaveLength(1))
  })
})

describe('the position held by hand', () => {
  it('never shows the protection of a bot on the same market', async () => {
    const leg = (id: number, type: 'stop_loss' | 'take_profit', price: string) =>
      order(id, { type, side: 'sell', price: null, stop_price: price, quantity: '0.01799', source: 'strategy', owner: 'bot:3', bot: 3 })
    await open({
      orders: { data: { results: [leg(5, 'stop_loss', '42591.11'), leg(6, 'take_profit', '45198.73')] } },
      positions: { data: { results: [
        position({ id: 3, owner: 'manual', bot: null, quantity: '0.04995', stop_loss: null, take_profit: null }),
        position({ id: 4, owner: 'bot:3', bot: 3, quantity: '0.01799', stop_loss: '42591.11', take_profit: '45198.73' }),
      ] } },
    })
    expect((await screen.findByRole('region', { name: 'Position' })).textContent).toContain('SL — · TP —')
    await fireEvent.click(screen.getByRole('tab', { name: /Positions/ }))
    const rows = within(screen.getByRole('tabpanel'))
    expect((await rows.findByRole('row', { name: /Manuel/ })).textContent).toContain('Aucune')
    expect(rows.getByRole('row', { name: /Bot n° 3/ }).textContent).toContain('SL 42\u202F591,11 · TP 45\u202F198,73')
  })
})

describe('leaving a position', () => {
  it('says which orders hold its quantity, and cancels them and sells in one confirmed step', async () => {
    const leg = (id: number, type: 'stop_loss' | 'take_profit', price: string) => order(id, { type, side: 'sell', price: null, stop_price: price, quantity: '0.5', link_id: 'p' })
    const held = position({ id: 3, owner: 'manual', bot: null, symbol: 'BTC/USDT', quantity: '0.5' })
    await open({
      orders: { data: { results: [leg(5, 'stop_loss', '90000'), leg(6, 'take_profit', '99000')] } },
      positions: { data: { results: [held] } },
      close: { data: { step: 'cancelling', position: { ...held, status: 'closing' }, trade: null, warnings: [] } },
    })
    await fireEvent.click(await screen.findByRole('tab', { name: /Positions/ }))
    await fireEvent.click(await within(screen.getByRole('tabpanel')).findByRole('button', { name: 'Clôturer' }))
    const dialog = within(await screen.findByRole('dialog', { name: 'Clôturer la position' }))
    expect(dialog.getByText(/ordres retiennent cette quantité/).textContent).toContain('2')
    dialog.getByText(/Vente Stop Loss n° 5 : 0,5 à 90/)
    expect(dialog.getByRole('button', { name: 'écrire la vente dans le ticket' }).parentElement?.textContent).toBe('écrire la vente dans le ticket.') // its point stays beside it
    expect(server.of('close')).toHaveLength(0)
    await fireEvent.click(dialog.getByRole('button', { name: 'Annuler la protection et vendre' }))
    await waitFor(() => expect(server.of('close')).toHaveLength(1))
    expect(server.of('close')[0]).toMatchObject({ broker: 1, position: 3 })
    expect(await screen.findAllByText('Clôture…')).toHaveLength(2) // in the list and on the card
    expect(server.of('submit')).toHaveLength(0)
  })
})

describe('orders that rest', () => {
  it('are moved by dragging their line, after a confirmation', async () => {
    await open()
    const plot = await screen.findByRole('img', { name: /Bougies BTC\/USDT/ })
    plot.setPointerCapture = () => undefined
    await waitFor(() => expect(chart.lines).toHaveLength(1))
    await fireEvent.pointerDown(plot, { button: 0, pointerId: 1, clientY: 6380 }) // 100 000 − 93 620
    await fireEvent.pointerMove(plot, { pointerId: 1, clientY: 6500 })
    await fireEvent.pointerUp(plot, { pointerId: 1, clientY: 6580 })
    expect(chart.held).toEqual([true, false])
    expect(server.of('amend')).toHaveLength(0)
    const dialog = within(await screen.findByRole('dialog', { name: 'Modifier l’ordre' }))
    expect((dialog.getByLabelText('Prix limite') as HTMLInputElement).value).toBe('93420')
    await fireEvent.click(dialog.getAllByRole('button', { name: 'Modifier' }).at(-1) as HTMLElement)
    await waitFor(() => expect(server.of('amend')).toHaveLength(1))
    expect(server.of('amend')[0]).toEqual({ request_id: expect.any(String), type: 'amend', broker: 1, trade: 9, price: '93420' })
    expect(await screen.findByText('Modification…')).toBeTruthy()
  })

  it('are not draggable when they cannot be changed', async () => {
    await open({ orders: { data: { results: [order(9, { link_id: 'ab' })] } }, history: { data: { results: [] } } })
    await waitFor(() => expect(chart.lines).toMatchObject([{ id: 9, draggable: false }]))
  })

  it('keep the window open with the server’s reason when a change is refused', async () => {
    await open({ amend: { error: { code: 'notional_too_small', message: 'Notionnel trop petit.', details: { field: 'quantity' } } } })
    await fireEvent.click(await screen.findByRole('button', { name: 'Modifier' }))
    const dialog = within(await screen.findByRole('dialog', { name: 'Modifier l’ordre' }))
    await fireEvent.update(dialog.getByLabelText('Quantité totale'), '0,00001')
    await fireEvent.click(dialog.getAllByRole('button', { name: 'Modifier' }).at(-1) as HTMLElement)
    expect(await dialog.findByText('Notionnel trop petit.')).toBeTruthy()
    expect(useTrading().busy).toEqual({})
  })

  it('say that a cancellation was refused, and are read again', async () => {
    await open({ cancel: { error: { code: 'order_already_final', message: 'L’ordre est déjà terminé.' } } })
    const button = await screen.findByRole('button', { name: 'Supprimer' })
    const reads = server.of('orders').length
    await fireEvent.click(button)
    await waitFor(() => expect(useToasts().toasts).toMatchObject([{ title: 'Annulation impossible', text: 'L’ordre est déjà terminé.' }]))
    await waitFor(() => expect(server.of('orders').length).toBe(reads + 1))
    expect((button as HTMLButtonElement).disabled).toBe(false)
  })

  it('are cancelled together after a confirmation that says whose', async () => {
    await open()
    await screen.findByRole('button', { name: 'Supprimer' })
    await fireEvent.click(screen.getByRole('button', { name: 'Tout annuler' }))
    const dialog = within(await screen.findByRole('dialog', { name: 'Tout annuler ?' }))
    expect(dialog.getByText(/1.ordre ouvert sur Simulateur sera annulé/)).toBeTruthy()
    await fireEvent.click(dialog.getByRole('button', { name: 'Tout annuler' }))
    await waitFor(() => expect(server.of('cancel_all')).toMatchObject([{ broker: 1, everybody: false }]))
    expect(await screen.findByText('Annulation…')).toBeTruthy()
  })

  it('explain an unknown state in full', async () => {
    await open({ orders: { data: { results: [order(9, { status: 'unknown', error_message: 'Pas de réponse en 10 s.' })] } }, history: { data: { results: [] } } })
    expect(await screen.findByText(/ne sera jamais renvoyé à l’aveugle\. Pas de réponse en 10 s\./)).toBeTruthy()
  })
})

describe('the connection', () => {
  it('says that it is lost, comes back, chooses the broker again and reads everything', async () => {
    await open()
    await screen.findByRole('button', { name: 'Supprimer' })
    const before = { select: server.of('select').length, orders: server.of('orders').length, positions: server.of('positions').length }
    server.cut()
    expect(await screen.findByText(/Terminal déconnecté/)).toBeTruthy()
    await waitFor(() => expect(server.of('select').length).toBe(before.select + 1), { timeout: 5_000 })
    await waitFor(() => expect(server.of('orders').length).toBe(before.orders + 1))
    expect(server.of('positions').length).toBe(before.positions + 1)
    await waitFor(() => expect(screen.queryByText(/Terminal déconnecté/)).toBeNull())
  })

  it('shows a feed that stands still', async () => {
    await open()
    await screen.findByRole('heading', { name: 'Carnet' })
    server.emit('market/feed', { broker: 1, symbol: 'BTC/USDT', state: 'stalled', message: 'Aucun message de Binance depuis 12 s.' })
    expect(await screen.findByText('Aucun message de Binance depuis 12 s.')).toBeTruthy()
  })
})
