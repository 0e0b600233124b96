import { cleanup, render, screen } from '@testing-library/vue'
import { createPinia, setActivePinia } from 'pinia'
import { nextTick } from 'vue'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Feed, Level } from '@/api/trading'
import { useTicket } from '@/composables/useTicket'
import { useTrading } from '@/stores/trading'
import { useTradingFeed } from '@/stores/tradingFeed'
import { market, preview } from '@/testing/desk'
import BookEstimate from './BookEstimate.vue'

const ASKS: Level[] = [['100', '1'], ['102', '1'], ['110', '1']]
let pinia = createPinia()

beforeEach(() => {
  pinia = createPinia()
  setActivePinia(pinia)
  useTrading().market = market()
  useTrading().link = { state: 'open', retryAt: null }
  const feed = useTradingFeed()
  feed.feed = { state: 'live', message: '' } as Feed
  feed.book = { broker: 1, symbol: 'BTC/USDT', bids: [['99', '0.5'], ['98', '5']], asks: ASKS, at: '2026-11-22T14:35:00Z' }
})
afterEach(cleanup)

function show(quantity: string, side: 'buy' | 'sell' = 'buy', type: 'market' | 'limit' = 'market') {
  const Host = {
    components: { BookEstimate },
    setup() {
      const ticket = useTicket()
      ticket.type.value = type
      ticket.side.value = side
      ticket.preview.value = preview({ quantity })
      return { ticket }
    },
    template: '<BookEstimate :ticket="ticket" />',
  }
  return render(Host, { global: { plugins: [pinia] } })
}
const said = () => screen.getByRole('definition').textContent

it('says the price that a market order would meet on average, and where a limit would help', () => {
  show('0.4').unmount()
  show('2')
  expect(said()).toBe('≈ 101,00\u00A0USDT, +1,00\u00A0%')
  expect(screen.getByText(/irait jusqu’à 102,00\sUSDT/)).toBeDefined()
})

it('is silent about a gap that is none', () => {
  show('0.4')
  expect(said()).toBe('≈ 100,00\u00A0USDT')
  expect(screen.queryByText(/Un ordre limite/)).toBeNull()
})

it('takes the bids for a sale', () => {
  show('1', 'sell')
  expect(said()).toBe('≈ 98,50\u00A0USDT, −0,51\u00A0%')
})

it('says what the book does not cover', () => {
  show('4')
  expect(screen.getByText(/ne couvre que 3\sBTC/)).toBeDefined()
})

it('says nothing of another type of order, nor from a book that stands still', async () => {
  show('2', 'buy', 'limit')
  expect(screen.queryByRole('definition')).toBeNull()
  cleanup()
  show('2')
  useTradingFeed().feed = { state: 'stalled', message: '' } as Feed
  await nextTick()
  expect(screen.queryByRole('definition')).toBeNull()
})
