import { createPinia, setActivePinia } from 'pinia'
import { shallowMount } from '@vue/test-utils'
import { beforeEach, expect, it } from 'vitest'
import { useHeartbeat } from '@/stores/heartbeat'
import { useSession } from '@/stores/session'
import { heartbeatStatus, session } from '@/testing/samples'
import StatusBar from './StatusBar.vue'

beforeEach(() => setActivePinia(createPinia()))

it('does not call coherence unknown before the server has spoken', () => {
  useSession().adopt(session())
  expect(shallowMount(StatusBar).text()).toContain('Cohérence…')
  useHeartbeat().setStatus(heartbeatStatus())
  expect(shallowMount(StatusBar).text(), 'its service is not known to live').toContain('Cohérence inconnue')
})

it.each([
  ['simulation', '2022-01-20T04:34:00Z', true],
  ['simulation', new Date().toISOString(), false],
  ['real', '2022-01-20T04:34:00Z', false],
] as const)('in mode %s with a market at %s, says the market’s own date: %s', (mode, market_time, said) => {
  useSession().adopt(session({ mode }))
  useHeartbeat().setStatus(heartbeatStatus({ market_time }))
  expect(shallowMount(StatusBar).text().includes('Marché au')).toBe(said)
})
