import { createPinia, setActivePinia } from 'pinia'
import { mount } from '@vue/test-utils'
import { beforeEach, expect, it } from 'vitest'
import { useStatus } from '@/stores/status'
import ExchangesButton from './ExchangesButton.vue'

beforeEach(() => setActivePinia(createPinia()))

const simex = { id: 'simex', state: 'loaded', progress: 100, count: 2 }

it('raises no alarm for the markets of an exchange that nobody has a broker at', async () => {
  const status = useStatus()
  status.setSummary({ active_strategies: 0, exchanges: [simex] })
  const button = mount(ExchangesButton)
  status.setMarkets({ exchange: 'kraken', state: 'failed', progress: 0, count: 0, error: 'nom introuvable' })
  await button.vm.$nextTick()
  expect(button.text()).toMatch(/^1\sexchange\b/)
  expect(button.text()).not.toContain('non chargés')

  status.setSummary({ active_strategies: 0, exchanges: [simex, { id: 'kraken', state: 'failed', progress: 0, count: 0 }] })
  await button.vm.$nextTick()
  expect(button.text()).toContain('Marchés de kraken non chargés')
})
