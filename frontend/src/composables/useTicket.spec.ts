import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { effectScope, nextTick, type EffectScope } from 'vue'
import { useTrading } from '@/stores/trading'
import { market, order, preview, replies } from '@/testing/desk'
import { FakeTerminal, type Replies } from '@/testing/terminal'
import { useTicket, type Ticket } from './useTicket'

let server: FakeTerminal
let scope: EffectScope
let ticket: Ticket
let trading: ReturnType<typeof useTrading>

async function open(over: Replies = {}): Promise<void> {
  server = new FakeTerminal(replies(over)).install()
  trading = useTrading()
  trading.start()
  await trading.select(1, { symbol: 'BTC/USDT', timeframe: '5m' })
  await trading.refreshPortfolio()
  scope = effectScope()
  ticket = scope.run(() => useTicket()) as Ticket
}

/** Lets what was typed be computed. */
const settle = () => vi.advanceTimersByTimeAsync(200)

async function writeLimit(): Promise<void> {
  ticket.text.price = '93 850,00'
  ticket.setSize('quantity', '0,02')
  await settle()
}

async function validated(): Promise<void> {
  await writeLimit()
  await ticket.validate.run()
  expect(ticket.state.value).toBe('valid')
}

beforeEach(() => {
  vi.useFakeTimers()
  setActivePinia(createPinia())
})
afterEach(() => {
  scope.stop()
  trading.stop()
  vi.useRealTimers()
})

describe('while typing', () => {
  it('computes again when what is free has moved, and leaves a validated order as it is', async () => {
    const free = (amount: string) => ({ data: preview({ available: amount }) })
    await open({ preview: free('8211.45') })
    await writeLimit()
    expect(ticket.available.value?.free).toBe('8211.45')
    server.replies.preview = free('100')
    await trading.refreshPortfolio()
    await settle()
    expect(ticket.available.value?.free).toBe('100')
    await ticket.validate.run()
    const asked = server.of('preview').length
    await trading.refreshPortfolio()
    await settle()
    expect(server.of('preview')).toHaveLength(asked)
    expect(ticket.state.value).toBe('valid')
  })

  it('has the server compute once the typing pauses, and shows the other amount', async () => {
    await open()
    ticket.text.price = '93 850,00'
    for (const text of ['0', '0,', '0,0', '0,02']) {
      ticket.setSize('quantity', text)
      await nextTick()
    }
    await settle()
    const asked = server.of('preview')
    expect(asked).toHaveLength(1)
    expect(asked[0]).toMatchObject({ broker: 1, symbol: 'BTC/USDT', side: 'buy', order_type: 'limit', quantity: '0.02', price: '93850.00' })
    expect(asked[0]).not.toHaveProperty('quote_amount')
    expect(ticket.text.quote_amount).toBe('1877')
  })

  it('goes from value to quantity as well', async () => {
    await open()
    ticket.setType('market')
    ticket.setSize('quote_amount', '500')
    await settle()
    expect(server.of('preview')[0]).toMatchObject({ order_type: 'market', quote_amount: '500' })
    expect(ticket.text.quantity).toBe('0,02')
  })

  it('asks for a share of the balance as such', async () => {
    await open()
    ticket.setType('market')
    ticket.takeShare(25)
    await settle()
    const [asked] = server.of('preview')
    expect(asked).toMatchObject({ balance_ratio: '0.25' })
    expect(asked).not.toHaveProperty('quantity')
    expect([ticket.text.quantity, ticket.text.quote_amount]).toEqual(['0,02', '1877'])
    ticket.setSize('quantity', '1')
    expect(ticket.ratio.value).toBeNull()
  })

  it('says at once that letters are no number, without asking the server', async () => {
    await open()
    ticket.text.price = '93850'
    ticket.setSize('quantity', 'abc')
    await settle()
    expect(ticket.errors.value.quantity).toContain('n’est pas un nombre')
    expect(server.of('preview')).toHaveLength(0)
    expect(ticket.terms.value).toBeNull()
  })

  it('shows above the buttons a refusal whose field the form does not have', async () => {
    await open({ preview: { error: { code: 'invalid', message: 'Déclenchement au-dessus du dernier prix.', details: { field: 'stop_price' } } } })
    await writeLimit()
    expect(ticket.errors.value).toEqual({})
    expect(ticket.generalError.value).toBe('Déclenchement au-dessus du dernier prix.')
  })

  it('puts a refusal beside the field that the server names, else above the buttons', async () => {
    await open({ preview: { error: { code: 'notional_too_small', message: 'Valeur 4,20 USDT inférieure au minimum 5 USDT.', details: { field: 'quantity' } } } })
    await writeLimit()
    expect(ticket.errors.value).toEqual({ quantity: 'Valeur 4,20 USDT inférieure au minimum 5 USDT.' })
    server.replies.preview = { error: { code: 'market_closed', message: 'Marché fermé.' } }
    ticket.setSize('quantity', '0,03')
    await settle()
    expect(ticket.errors.value).toEqual({})
    expect(ticket.generalError.value).toBe('Marché fermé.')
  })

  it('ignores the answer to what is no longer written', async () => {
    await open()
    const late: (() => void)[] = []
    await writeLimit()
    server.replies.preview = (asked) => {
      late.push(() => server.ends.at(-1)?.onmessage?.({ data: JSON.stringify({ request_id: asked.request_id, ok: true, data: preview({ quote_amount: '1' }) }) }))
      return 'silent'
    }
    ticket.setSize('quantity', '0,03')
    await settle()
    server.replies.preview = { data: preview({ quote_amount: '2815.5' }) }
    ticket.setSize('quantity', '0,04')
    await settle()
    late[0]()
    await settle()
    expect(ticket.text.quote_amount).toBe('2815,5')
  })

  it('takes a price of the book: a market order becomes a limit', async () => {
    await open()
    ticket.setType('market')
    ticket.fillPrice('94218.30')
    expect([ticket.type.value, ticket.text.price]).toEqual(['limit', '94218,3'])
  })

  it('sends nothing for a type that the exchange does not take', async () => {
    await open()
    ticket.setType('oco')
    Object.assign(ticket.text, { stop_loss: '90000', take_profit: '99000' })
    ticket.setSize('quantity', '1')
    await settle()
    expect(ticket.ability.value?.reason).toContain('Kraken')
    expect(ticket.terms.value).toBeNull()
    expect(server.of('preview')).toHaveLength(0)
  })

  it('empties itself for another symbol', async () => {
    await open()
    await writeLimit()
    server.replies.market = { data: market({ symbol: 'ETH/USDT', base: 'ETH' }) }
    await trading.select(1, { symbol: 'ETH/USDT', timeframe: '5m' })
    await nextTick()
    expect(Object.values(ticket.text).join('')).toBe('')
  })
})

describe('validating', () => {
  it('holds thirty seconds', async () => {
    await open()
    await validated()
    await vi.advanceTimersByTimeAsync(29_000)
    expect(ticket.state.value).toBe('valid')
    await vi.advanceTimersByTimeAsync(2_000)
    expect(ticket.state.value).toBe('expired')
    await ticket.execute.run()
    expect(server.of('submit')).toHaveLength(0)
  })

  it('is void as soon as a term changes', async () => {
    await open()
    await validated()
    ticket.setSize('quantity', '0,03')
    await nextTick()
    expect(ticket.state.value).toBe('draft')
    expect(ticket.validation.value).toBeNull()
  })

  it('shows the server’s refusal', async () => {
    await open({ validate: { error: { code: 'insufficient_funds', message: 'Solde insuffisant.', details: { field: 'quantity' } } } })
    await writeLimit()
    await ticket.validate.run()
    expect(ticket.state.value).toBe('refused')
    expect(ticket.failure.value).toBe('Solde insuffisant.')
  })
})

describe('executing', () => {
  it('sends the validation, not the fields, and follows the order', async () => {
    await open()
    await validated()
    await ticket.execute.run()
    await nextTick()
    expect(server.of('submit')[0]).toMatchObject({ broker: 1, validation_id: 'v1' })
    expect(ticket.state.value).toBe('sent')
    expect(ticket.text.quantity).toBe('')
    server.emit('orders/trade', order(12, { status: 'filled', filled_quantity: '0.02', average_price: '93850' }))
    expect(ticket.orders.value.map((one) => one.status)).toEqual(['filled'])
  })

  it('is never stuck: without an answer it explains, reads the orders, and asks again for the very same one', async () => {
    await open({ submit: 'silent' })
    await validated()
    const reads = server.of('orders').length
    const sending = ticket.execute.run()
    expect(ticket.state.value).toBe('sending')
    await vi.advanceTimersByTimeAsync(15_000)
    await sending
    expect(ticket.state.value).toBe('unanswered')
    expect(ticket.execute.pending.value).toBe(false)
    expect(ticket.failure.value).toContain('n’a pas répondu à l’envoi de l’ordre')
    await vi.advanceTimersByTimeAsync(2_000) // the wholly silent link is reopened
    expect(server.of('orders').length).toBeGreaterThan(reads)

    server.replies.submit = { data: { trade: order(12, { status: 'open' }) } }
    await ticket.execute.run()
    expect(ticket.state.value).toBe('sent')
    expect(new Set(server.of('submit').map((one) => one.request_id)).size).toBe(1)
  })

  it('warns of the unanswered one when another order is written instead', async () => {
    await open({ submit: 'silent' })
    await validated()
    void ticket.execute.run()
    await vi.advanceTimersByTimeAsync(15_000)
    ticket.setSize('quantity', '0,05')
    await nextTick()
    expect(ticket.state.value).toBe('draft')
    expect(ticket.doubt.value).toContain('resté sans réponse')
  })

  it('answers through a cut of the socket, with one order', async () => {
    await open({ submit: 'silent' })
    await validated()
    const sending = ticket.execute.run()
    await vi.advanceTimersByTimeAsync(100)
    server.cut()
    server.replies.submit = { data: { trade: order(12, { status: 'open' }) } }
    await vi.advanceTimersByTimeAsync(1_000)
    await sending
    expect(ticket.state.value).toBe('sent')
    expect(new Set(server.of('submit').map((one) => one.request_id)).size).toBe(1)
  })

  it('keeps its terms while they are leaving', async () => {
    await open({ submit: 'silent' })
    await validated()
    void ticket.execute.run()
    ticket.fillPrice('1')
    ticket.setSide('sell')
    ticket.takeShare(100)
    ticket.setSize('quantity', '9')
    await nextTick()
    expect(ticket.state.value).toBe('sending')
    expect([ticket.text.price, ticket.text.quantity, ticket.side.value]).toEqual(['93 850,00', '0,02', 'buy'])
  })

  it('shows a refusal and asks for a new validation', async () => {
    await open({ submit: { error: { code: 'insufficient_funds', message: 'Solde insuffisant : 3 USDT libres.' } } })
    await validated()
    await ticket.execute.run()
    expect(ticket.state.value).toBe('refused')
    expect(ticket.failure.value).toBe('Solde insuffisant : 3 USDT libres.')
    await ticket.execute.run()
    expect(server.of('submit')).toHaveLength(1)
  })
})
