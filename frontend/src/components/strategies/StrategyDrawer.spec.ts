import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/vue'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ref } from 'vue'
import { fakeServer } from '@/testing/server'
import StrategyDrawer from './StrategyDrawer.vue'

const EMA = { id: 7, name: 'EMA', description: '', code: 'x = 1', timeframe: '1h', params: [], version: 2, created_at: '2026-11-26T10:00:00Z', updated_at: '2026-11-26T10:00:00Z' }
const empty = { results: [], next: null }

// CodeMirror needs a real browser: e2e writes in it.
vi.mock('./CodeEditor.vue', async () => {
  const { h } = await import('vue')
  const fake = (props: { modelValue: string }, { emit }: { emit: (name: string, text: string) => void }) =>
    h('textarea', { 'aria-label': 'code', value: props.modelValue, onInput: (event: Event) => emit('update:modelValue', (event.target as HTMLTextAreaElement).value) })
  return { default: Object.assign(fake, { props: ['modelValue'], emits: ['update:modelValue'] }) }
})

function server() {
  return fakeServer({
    'GET /api/strategies/': { body: { results: [EMA], next: null } },
    'GET /api/strategies/indicators/': { body: [] },
    'GET /api/strategies/examples/': { body: [] },
    'GET /api/bots/': { body: empty },
    'PATCH /api/strategies/7/': (call) => ({ body: { ...EMA, ...(call.body as object), version: 3 } }),
    'DELETE /api/strategies/7/': { status: 204 },
  })
}

function mounted(strategy: number | null) {
  const events: Record<string, unknown[]> = { saved: [], removed: [] }
  const open = ref(true)
  render(StrategyDrawer, {
    props: {
      open: true,
      strategy,
      'onUpdate:open': (shown: boolean) => (open.value = shown),
      onSaved: (saved: unknown) => events['saved']?.push(saved),
      onRemoved: (id: unknown) => events['removed']?.push(id),
    },
  })
  return { events, open }
}

describe('the editor over another page', () => {
  beforeEach(() => setActivePinia(createPinia()))
  afterEach(cleanup)

  it('opens a strategy, saves it and tells the page', async () => {
    const { calls } = server()
    const { events } = mounted(7)
    await fireEvent.update(await screen.findByLabelText('code'), 'x = 2')
    await fireEvent.click(screen.getByRole('button', { name: 'Enregistrer' }))
    await waitFor(() => expect(events['saved']).toHaveLength(1))
    expect(calls.find((call) => call.method === 'PATCH')?.body).toMatchObject({ name: 'EMA', code: 'x = 2' })
  })

  it('does not close over what is not saved without asking', async () => {
    server()
    const { open } = mounted(7)
    await fireEvent.update(await screen.findByLabelText('code'), 'x = 2')
    await fireEvent.click(screen.getByRole('button', { name: 'Fermer' }))
    expect(open.value).toBe(true)
    await fireEvent.click(await screen.findByRole('button', { name: 'Abandonner' }))
    expect(open.value).toBe(false)
  })

  it('starts from the template when there is none yet, and removes one only after a question', async () => {
    server()
    mounted(null)
    expect((await screen.findByLabelText<HTMLTextAreaElement>('code')).value).toContain('class MaNouvelleStrategie(Strategy):')
    expect(screen.getByRole('button', { name: 'Supprimer' })).toHaveProperty('disabled', true)
  })

  it('removes the strategy and closes', async () => {
    server()
    const { events, open } = mounted(7)
    await screen.findByLabelText('code')
    await fireEvent.click(screen.getByRole('button', { name: 'Supprimer' }))
    const confirm = await screen.findAllByRole('button', { name: 'Supprimer' })
    await fireEvent.click(confirm.at(-1) as HTMLElement)
    await waitFor(() => expect(events['removed']).toEqual([7]))
    expect(open.value).toBe(false)
  })
})
