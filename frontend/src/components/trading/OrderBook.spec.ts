import { cleanup, render, screen } from '@testing-library/vue'
import { createPinia, setActivePinia } from 'pinia'
import { nextTick } from 'vue'
import { afterEach, expect, it } from 'vitest'
import type { Feed } from '@/api/trading'
import { useStatus } from '@/stores/status'
import { useTrading } from '@/stores/trading'
import { useTradingFeed } from '@/stores/tradingFeed'
import OrderBook from './OrderBook.vue'

afterEach(cleanup)

it('does not call itself live once the server is lost', async () => {
  const pinia = createPinia()
  setActivePinia(pinia)
  const trading = useTrading()
  trading.link = { state: 'open', retryAt: null }
  useTradingFeed().feed = { state: 'live', message: '' } as Feed
  render(OrderBook, { global: { plugins: [pinia] } })
  screen.getByText('En direct')
  trading.link = { state: 'closed', retryAt: null }
  await nextTick()
  expect(screen.queryByText('En direct')).toBeNull()
  screen.getByText('Coupé')
})

it('does not call itself live while the top bar says that the connection is lost', async () => {
  const pinia = createPinia()
  setActivePinia(pinia)
  useTrading().link = { state: 'open', retryAt: null } // this socket has not noticed yet
  useTradingFeed().feed = { state: 'live', message: '' } as Feed
  render(OrderBook, { global: { plugins: [pinia] } })
  screen.getByText('En direct')
  useStatus().link = { state: 'lost', retryAt: null }
  await nextTick()
  expect(screen.queryByText('En direct')).toBeNull()
  screen.getByText('Coupé')
})
