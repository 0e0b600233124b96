import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import type { Device } from '@/api/session'
import { fakeServer } from '@/testing/server'
import DevicesCard from './DevicesCard.vue'

const device = (over: Partial<Device> = {}): Device => ({
  id: 1, browser: 'Firefox sur Linux', address: '192.168.1.24', created_at: '2026-11-22T08:02:00Z',
  last_seen_at: '2026-11-22T12:00:00Z', is_current: true,
  ...over,
})
const other = device({ id: 2, browser: 'Chrome sur Windows', address: '192.168.1.31', is_current: false })
afterEach(cleanup)

function show(list: Device[]) {
  const server = fakeServer({ 'GET /api/session/devices/': { body: list } })
  render(DevicesCard, { global: { plugins: [createPinia()] } })
  return server
}

it('shows where the user is signed in, and closes another session', async () => {
  const server = show([device(), other])
  expect(await screen.findByText('Cette session')).toBeDefined()
  expect(screen.getAllByRole('button').map((one) => one.textContent)).toEqual(['Fermer les autres', 'Fermer'])
  server.set('DELETE /api/session/devices/2/', { status: 204 })
  server.set('GET /api/session/devices/', { body: [device()] })
  await fireEvent.click(screen.getByRole('button', { name: 'Fermer Chrome sur Windows, 192.168.1.31' }))
  await waitFor(() => expect(screen.queryByText('Chrome sur Windows')).toBeNull())
  expect(screen.queryByRole('button')).toBeNull()
})

it('closes all the others at once', async () => {
  const server = show([device(), other])
  server.set('POST /api/session/devices/close-others/', { body: [device()] })
  await fireEvent.click(await screen.findByRole('button', { name: 'Fermer les autres' }))
  await waitFor(() => expect(screen.queryByText('Chrome sur Windows')).toBeNull())
})
