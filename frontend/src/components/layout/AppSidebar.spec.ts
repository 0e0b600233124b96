import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'
import AppSidebar from './AppSidebar.vue'

afterEach(cleanup)

it('hides the label of the link just clicked until the pointer comes back', async () => {
  const page = { template: '<p>Page</p>' }
  const names = ['heartbeat', 'trading', 'bots', 'strategies', 'backtest', 'webhooks', 'stats', 'account', 'login']
  const router = createRouter({ history: createMemoryHistory(), routes: names.map((name) => ({ path: `/${name}`, name, component: page })) })
  await router.push('/heartbeat')
  render(AppSidebar, { global: { plugins: [createPinia(), router] } })
  const link = screen.getByRole('link', { name: 'Trading BOT' })
  expect(link.classList.contains('quiet')).toBe(false)
  await fireEvent.click(link)
  await waitFor(() => expect(router.currentRoute.value.name).toBe('bots'))
  expect(link.classList.contains('quiet')).toBe(true)
  expect(screen.getByRole('link', { name: 'Heartbeat' }).classList.contains('quiet')).toBe(false)
  await fireEvent.pointerEnter(link)
  expect(link.classList.contains('quiet')).toBe(false)
})
