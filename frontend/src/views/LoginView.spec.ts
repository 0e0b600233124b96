import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'
import type { Session } from '@/api/session'
import { session } from '@/testing/samples'
import { fakeServer } from '@/testing/server'
import LoginView from './LoginView.vue'

afterEach(cleanup)

async function open(first: Session) {
  const server = fakeServer({ 'GET /api/session/': { body: first }, 'GET /api/health/ready': { body: {} } })
  const page = { template: '<p>Page</p>' }
  const router = createRouter({
    history: createMemoryHistory(),
    routes: [
      { path: '/login', component: LoginView },
      { path: '/heartbeat', name: 'heartbeat', component: page },
    ],
  })
  await router.push('/login')
  render(LoginView, { global: { plugins: [createPinia(), router] } })
  await screen.findByText('Simulation')
  return { server, router }
}

const anonymous = (over: Partial<Session> = {}): Session => session({ user: null, ...over })

it('logs in and enters', async () => {
  const { server, router } = await open(anonymous())
  server.set('POST /api/session/login/', { body: session() })
  const button = screen.getByRole<HTMLButtonElement>('button', { name: 'Se connecter' })
  expect(button.disabled).toBe(true)
  await fireEvent.update(screen.getByLabelText('Utilisateur'), 'dac')
  await fireEvent.update(screen.getByLabelText('Mot de passe'), 'secret-long')
  await fireEvent.click(button)
  await waitFor(() => expect(router.currentRoute.value.name).toBe('heartbeat'))
  expect(server.calls.find((call) => call.method === 'POST')?.body).toEqual({ username: 'dac', password: 'secret-long' })
})

it('says why it was refused and keeps what was typed', async () => {
  const { server } = await open(anonymous())
  server.set('POST /api/session/login/', { status: 400, body: { code: 'x', message: 'Mot de passe incorrect.', details: {} } })
  await fireEvent.update(screen.getByLabelText('Utilisateur'), 'dac')
  await fireEvent.update(screen.getByLabelText('Mot de passe'), 'faux')
  await fireEvent.click(screen.getByRole('button', { name: 'Se connecter' }))
  expect((await screen.findByRole('alert')).textContent).toBe('Mot de passe incorrect.')
  expect(screen.getByLabelText<HTMLInputElement>('Utilisateur').value).toBe('dac')
})

it('hides the development mode unless the server allows it', async () => {
  await open(anonymous())
  expect(screen.queryByRole('switch')).toBeNull()
})

it('locks the fields while the development mode is on', async () => {
  const { server } = await open(anonymous({ debug: { allowed: true, active: true } }))
  expect(screen.getByLabelText<HTMLInputElement>('Utilisateur').disabled).toBe(true)
  expect(screen.getByLabelText<HTMLInputElement>('Mot de passe').disabled).toBe(true)
  server.set('POST /api/session/debug/', { body: anonymous({ debug: { allowed: true, active: false } }) })
  await fireEvent.click(screen.getByRole('switch', { name: 'Mode développement' }))
  await waitFor(() => expect(screen.getByLabelText<HTMLInputElement>('Utilisateur').disabled).toBe(false))
})

it('enters as dev when the development mode is switched on', async () => {
  const { server, router } = await open(anonymous({ debug: { allowed: true, active: false } }))
  server.set('POST /api/session/debug/', { body: session({ debug: { allowed: true, active: true } }) })
  await fireEvent.click(screen.getByRole('switch', { name: 'Mode développement' }))
  await waitFor(() => expect(router.currentRoute.value.name).toBe('heartbeat'))
})

it('offers no new account when every place is taken', async () => {
  const limits = { max_users: 5, users: 5, max_active_strategies: 20, active_strategies: 0 }
  await open(anonymous({ limits }))
  expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Nouveau compte' }).disabled).toBe(true)
})

it('asks the code of an account that wants one, and enters with it', async () => {
  const { server, router } = await open(anonymous())
  server.set('POST /api/session/login/', { body: anonymous({ awaits_code: true }) })
  await fireEvent.update(screen.getByLabelText('Utilisateur'), 'dac')
  await fireEvent.update(screen.getByLabelText('Mot de passe'), 'secret-long')
  await fireEvent.click(screen.getByRole('button', { name: 'Se connecter' }))
  await fireEvent.update(await screen.findByLabelText('Code à 6 chiffres'), '000000')
  server.set('POST /api/session/code/', { status: 400, body: { code: 'wrong_code', message: 'Code refusé', details: {} } })
  await fireEvent.click(screen.getByRole('button', { name: 'Se connecter' }))
  expect((await screen.findByRole('alert')).textContent).toBe('Code refusé')
  expect(router.currentRoute.value.path).toBe('/login')
  server.set('POST /api/session/code/', { body: session() })
  await fireEvent.click(screen.getByRole('button', { name: 'Se connecter' }))
  await waitFor(() => expect(router.currentRoute.value.name).toBe('heartbeat'))
})

it('goes back to the password when the second step took too long', async () => {
  const { server } = await open(anonymous({ awaits_code: true }))
  server.set('POST /api/session/code/', { status: 403, body: { code: 'sign_in_again', message: 'Délai dépassé', details: {} } })
  await fireEvent.click(await screen.findByRole('button', { name: 'Utiliser un code de secours' }))
  await fireEvent.update(screen.getByLabelText('Code de secours'), 'AAAA-BBBB-CCCC-DDDD')
  await fireEvent.click(screen.getByRole('button', { name: 'Se connecter' }))
  await fireEvent.click(await screen.findByRole('button', { name: 'Redonner le mot de passe' }))
  expect(await screen.findByLabelText('Mot de passe')).toBeDefined()
})
