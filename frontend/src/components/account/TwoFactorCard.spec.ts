import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import { fakeServer } from '@/testing/server'
import TwoFactorCard from './TwoFactorCard.vue'

const OFF = { is_on: false, since: null, recovery_codes_left: 0 }
const ON = { is_on: true, since: '2026-11-22T12:00:00Z', recovery_codes_left: 2 }
const CODES = ['AAAA-BBBB-CCCC-DDDD', 'EEEE-FFFF-GGGG-HHHH']
afterEach(cleanup)

function show(state: object) {
  const server = fakeServer({ 'GET /api/session/two-factor/': { body: state } })
  render(TwoFactorCard, { global: { plugins: [createPinia()] } })
  return server
}

it('is turned on by password, then a code of the telephone, and shows the recovery codes once', async () => {
  const server = show(OFF)
  server.set('POST /api/session/two-factor/', { body: { secret: 'ABCDEFGH', address: 'otpauth://x', qr_svg: '<svg/>' } })
  server.set('POST /api/session/two-factor/confirm/', { body: { recovery_codes: CODES } })
  await fireEvent.click(await screen.findByRole('button', { name: 'Activer…' }))
  const dialog = within(await screen.findByRole('dialog'))
  await fireEvent.update(dialog.getByLabelText('Mot de passe'), 'secret-long')
  await fireEvent.click(dialog.getByRole('button', { name: 'Continuer' }))
  expect((await dialog.findByLabelText('Secret')).textContent).toBe('ABCD EFGH')
  expect(dialog.getByAltText<HTMLImageElement>('Code QR du secret').src).toBe('data:image/svg+xml,%3Csvg%2F%3E')
  const activate = dialog.getByRole<HTMLButtonElement>('button', { name: 'Activer' })
  expect(activate.disabled).toBe(true)
  await fireEvent.update(dialog.getByLabelText('Code affiché par l’application'), '123 456')
  server.set('GET /api/session/two-factor/', { body: ON })
  await fireEvent.click(activate)
  expect((await dialog.findByRole('list', { name: 'Codes de secours' })).textContent).toBe(CODES.join(''))
  expect(server.calls.filter((call) => call.method === 'POST').map((call) => call.body)).toEqual([{ password: 'secret-long' }, { code: '123 456' }])
  await fireEvent.click(dialog.getByRole('button', { name: 'Codes notés' }))
  await waitFor(() => expect(screen.queryByText(CODES[0] ?? '')).toBeNull())
  expect((await screen.findByText(/Il reste 2.codes de secours sur 10/)).classList.contains('warn')).toBe(true)
})

it('is turned off by password and code, and says why the server refuses', async () => {
  const server = show(ON)
  await fireEvent.click(await screen.findByRole('button', { name: 'Désactiver…' }))
  const dialog = within(await screen.findByRole('dialog'))
  await fireEvent.update(dialog.getByLabelText('Mot de passe'), 'secret-long')
  await fireEvent.update(dialog.getByLabelText('Code du téléphone, ou de secours'), '000000')
  server.set('POST /api/session/two-factor/off/', { status: 400, body: { code: 'wrong_code', message: 'Code refusé', details: {} } })
  await fireEvent.click(dialog.getByRole('button', { name: 'Désactiver' }))
  expect((await dialog.findByRole('alert')).textContent).toBe('Code refusé')
  server.set('POST /api/session/two-factor/off/', { status: 204 })
  server.set('GET /api/session/two-factor/', { body: OFF })
  await fireEvent.click(dialog.getByRole('button', { name: 'Désactiver' }))
  expect(await screen.findByText('Inactive')).toBeDefined()
})
