import { createPinia, setActivePinia } from 'pinia'
import { mount } from '@vue/test-utils'
import { beforeEach, expect, it } from 'vitest'
import { useSession } from '@/stores/session'
import { session } from '@/testing/samples'
import ModeTag from './ModeTag.vue'

beforeEach(() => setActivePinia(createPinia()))

it.each([
  ['simulation', 'simulated', 'Simulation'],
  ['simulation', 'real', 'Simulation, prix réels'],
  ['testnet', 'real', 'Testnet'],
  ['real', 'real', 'Réel'],
] as const)('mode %s at %s prices reads « %s »', (mode, prices, label) => {
  useSession().adopt(session({ prices }))
  expect(mount(ModeTag, { props: { mode } }).text()).toBe(label)
})
