import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import type { AssistantSettings } from '@/api/assistant'
import { useSession } from '@/stores/session'
import { assistant, session } from '@/testing/samples'
import { fakeServer, type Answer } from '@/testing/server'
import AssistantCard from './AssistantCard.vue'

const MODELS = [{ id: 'aya:8b', name: 'aya:8b' }, { id: 'mistral/large', name: 'Mistral Large' }]
const KEYED = { has_key: true, key_hint: '3f9c', model: '' }
afterEach(cleanup)

/** A server that keeps what it is told, as the real one does. */
function show(start: AssistantSettings, answers: Record<string, Answer> = {}) {
  let kept = start
  const server = fakeServer({
    'GET /api/assistant/settings/': () => ({ body: kept }),
    'PATCH /api/assistant/settings/': ({ body }) => {
      const asked = body as Record<string, string>
      if ('provider' in asked) kept = { ...kept, provider: asked.provider as AssistantSettings['provider'] }
      if ('openrouter_key' in asked) kept = { ...kept, openrouter: { ...kept.openrouter, has_key: true, key_hint: asked.openrouter_key.slice(-4) } }
      if ('openrouter_model' in asked) kept = { ...kept, is_on: true, openrouter: { ...kept.openrouter, model: asked.openrouter_model } }
      return { body: kept }
    },
    'GET /api/assistant/models/': { body: MODELS },
    'GET /api/session/': { body: session({ assistant: { is_on: true, provider: 'openrouter', model: 'mistral/large' } }) },
    ...answers,
  })
  const pinia = createPinia()
  setActivePinia(pinia)
  render(AssistantCard, { global: { plugins: [pinia] } })
  return server
}
const panel = async (name: string) => within(await screen.findByRole('group', { name }))

it('locks what is off and says how to go on', async () => {
  const server = show(assistant())
  const ollama = await panel('Ollama')
  expect(ollama.getByLabelText<HTMLInputElement>('Adresse').value).toBe('http://localhost:11434')
  expect(ollama.getByLabelText<HTMLInputElement>('Adresse').disabled).toBe(true)
  expect(ollama.getByRole<HTMLButtonElement>('button', { name: 'Tester Ollama' }).disabled).toBe(true)
  expect(ollama.getByText('Allumez Ollama pour tester')).toBeDefined()
  expect(screen.getByText('Désactivé')).toBeDefined()
  expect(server.calls.some((call) => call.path === '/api/assistant/models/')).toBe(false)
})

it('switches one provider off when the other comes on', async () => {
  show(assistant({ provider: 'openrouter', openrouter: KEYED }))
  const openrouter = await panel('OpenRouter')
  const ollama = await panel('Ollama')
  expect(openrouter.getByRole('switch').getAttribute('aria-checked')).toBe('true')
  await fireEvent.click(ollama.getByRole('switch'))
  await waitFor(() => expect(ollama.getByRole('switch').getAttribute('aria-checked')).toBe('true'))
  expect(openrouter.getByRole('switch').getAttribute('aria-checked')).toBe('false')
})

it('stores a key, then lists the models, keeps the chosen one and tells every page', async () => {
  const server = show(assistant({ provider: 'openrouter' }), {
    'POST /api/assistant/test/': { body: { model: 'mistral/large', elapsed_ms: 912 } },
  })
  const openrouter = await panel('OpenRouter')
  expect(openrouter.getByText('La liste vient avec la clé.')).toBeDefined()
  await fireEvent.update(openrouter.getByLabelText('Clé API'), 'sk-or-v1-0123456789')
  await fireEvent.click(openrouter.getByRole('button', { name: 'Enregistrer' }))
  expect(await openrouter.findByText('2 disponibles')).toBeDefined()
  expect(openrouter.getByLabelText<HTMLInputElement>('Clé API').value).toBe('')
  expect(openrouter.getByText(/••••6789/)).toBeDefined()
  const field = openrouter.getByLabelText<HTMLInputElement>('Modèle de OpenRouter')
  await fireEvent.focus(field)
  await fireEvent.update(field, 'large')
  const option = await screen.findByRole('option', { name: 'mistral/large' })
  expect(screen.queryByRole('option', { name: 'aya:8b' })).toBeNull()
  await fireEvent.pointerUp(option)
  await fireEvent.click(option)
  await waitFor(() => expect(server.calls.some((call) => call.method === 'PATCH' && (call.body as object).hasOwnProperty('openrouter_model'))).toBe(true))
  await waitFor(() => expect(useSession().session?.assistant.is_on).toBe(true))
  await fireEvent.click(openrouter.getByRole('button', { name: 'Tester OpenRouter' }))
  expect(await openrouter.findByText('Réponse en 0,9 s')).toBeDefined()
  expect(screen.getByText('Configuré')).toBeDefined()
})

it('shows the provider’s refusal under what caused it', async () => {
  const refused = (message: string): Answer => ({ status: 502, body: { code: 'ai_key_refused', message, details: {} } })
  show(assistant({ provider: 'openrouter', openrouter: { ...KEYED, model: 'm' } }), {
    'POST /api/assistant/test/': refused('Clé API refusée (HTTP 401, « User not found. »).'),
    'GET /api/assistant/models/': refused('Lecture des modèles impossible chez OpenRouter.'),
  })
  const openrouter = await panel('OpenRouter')
  expect((await openrouter.findByRole('alert')).textContent).toContain('Lecture des modèles impossible')
  expect(openrouter.getByRole('button', { name: 'Relire les modèles' })).toBeDefined()
  await fireEvent.click(openrouter.getByRole('button', { name: 'Tester OpenRouter' }))
  await waitFor(() => expect(openrouter.getAllByRole('alert').some((one) => one.textContent?.includes('User not found'))).toBe(true))
})
