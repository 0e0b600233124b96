import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'
import { session } from '@/testing/samples'
import { fakeServer } from '@/testing/server'
import DeleteAccountCard from './DeleteAccountCard.vue'

afterEach(cleanup)

async function open() {
  const server = fakeServer({ 'GET /api/session/': { body: session({ user: null }) } })
  const page = { template: '<p>Page</p>' }
  const routes = [{ path: '/account', component: page }, { path: '/login', name: 'login', component: page }]
  const router = createRouter({ history: createMemoryHistory(), routes })
  await router.push('/account')
  render(DeleteAccountCard, { global: { plugins: [createPinia(), router] } })
  await fireEvent.click(screen.getByRole('button', { name: 'Supprimer le compte…' }))
  const dialog = await screen.findByRole('dialog')
  return { server, router, dialog: within(dialog) }
}

it('deletes nothing without the password', async () => {
  const { server, dialog } = await open()
  await fireEvent.click(dialog.getByRole('button', { name: 'Supprimer définitivement' }))
  expect(server.calls.some((call) => call.method === 'DELETE')).toBe(false)
})

it('says why the server refuses', async () => {
  const { server, dialog, router } = await open()
  server.set('DELETE /api/session/account/', { status: 409, body: { code: 'account_in_use', message: '1 bot(s) actif(s)', details: {} } })
  await fireEvent.update(dialog.getByLabelText('Mot de passe'), 'secret-long')
  await fireEvent.click(dialog.getByRole('button', { name: 'Supprimer définitivement' }))
  expect((await dialog.findByRole('alert')).textContent).toBe('1 bot(s) actif(s)')
  expect(router.currentRoute.value.path).toBe('/account')
})

it('deletes the account and leaves', async () => {
  const { server, dialog, router } = await open()
  server.set('DELETE /api/session/account/', { status: 204 })
  await fireEvent.update(dialog.getByLabelText('Mot de passe'), 'secret-long')
  await fireEvent.click(dialog.getByRole('button', { name: 'Supprimer définitivement' }))
  await waitFor(() => expect(router.currentRoute.value.name).toBe('login'))
  expect(server.calls.find((call) => call.method === 'DELETE')?.body).toEqual({ password: 'secret-long' })
})
