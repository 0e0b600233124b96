import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { effectScope } from 'vue'
import { useAssistantChat } from './useAssistantChat'
import { useWorkbench } from './useWorkbench'

const OLD = 'class A(Strategy):\n    seuil = 30\n'
const NEW = 'class A(Strategy):\n    seuil = 65\n'
const DONE = { type: 'done', text: 'Je change le seuil.', code: NEW, valid: true, class_name: 'MonIdee', errors: [], unchecked: '' }
const VERDICT = { valid: true, class_name: 'A', errors: [], params: [] }

/** Answers the assistant's route with these lines, cut in the middle of a line and of a character. */
function answering(events: object[], onEnd: 'close' | 'wait' = 'close') {
  const asked: Record<string, unknown>[] = []
  vi.stubGlobal('fetch', async (request: Request) => {
    if (!request.url.endsWith('/api/assistant/generate/')) return Response.json(VERDICT)
    asked.push((await request.json()) as Record<string, unknown>)
    const bytes = new TextEncoder().encode(events.map((event) => `${JSON.stringify(event)}\n`).join(''))
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += 7) controller.enqueue(bytes.slice(at, at + 7))
        if (onEnd === 'close') controller.close()
        else request.signal.addEventListener('abort', () => controller.error(new DOMException('aborted', 'AbortError')))
      },
    })
    return new Response(body, { status: 200 })
  })
  return asked
}

function talk() {
  const parts = effectScope().run(() => {
    const bench = useWorkbench()
    bench.show({ name: '', code: OLD })
    return { bench, chat: useAssistantChat(bench) }
  })
  if (!parts) throw new Error('no scope')
  return parts
}

describe('the talk with the assistant', () => {
  beforeEach(() => setActivePinia(createPinia()))

  it('shows the answer as it comes, and changes the text only when it is accepted', async () => {
    const asked = answering([{ type: 'start', model: 'mistral' }, { type: 'text', text: 'Je change é' }, { type: 'check' }, DONE])
    const { bench, chat } = talk()
    await chat.send('continue', ' Seuil à 65 ')
    const [one] = chat.exchanges.value
    expect(one).toMatchObject({ model: 'mistral', phase: 'done', words: 'Je change le seuil.', proposal: { valid: true, outcome: 'open' } })
    expect(asked[0]).toMatchObject({ task: 'continue', message: 'Seuil à 65', code: OLD, history: [] })
    expect(bench.draft.code).toBe(OLD)
    chat.accept(one!)
    expect([bench.draft.code, bench.draft.name, one?.proposal?.outcome]).toEqual([NEW, 'Mon Idee', 'accepted'])
  })

  it('leaves the text alone when a proposal is refused, and sends the talk along', async () => {
    const asked = answering([DONE])
    const { bench, chat } = talk()
    await chat.send('continue', 'Seuil')
    chat.refuse(chat.exchanges.value[0]!)
    expect(bench.draft.code).toBe(OLD)
    await chat.send('explain', '')
    expect(asked[1]?.['history']).toEqual([{ asked: 'Seuil', answered: 'Je change le seuil.' }])
  })

  it('tells a refusal of the provider, and a connection that ends too early', async () => {
    answering([{ type: 'error', code: 'ai_no_credit', message: 'crédit insuffisant' }])
    const { chat } = talk()
    await chat.send('generate', 'EMA')
    answering([{ type: 'text', text: 'Je' }])
    await chat.send('generate', 'EMA')
    expect(chat.exchanges.value.map((one) => [one.phase, one.message])).toEqual([
      ['failed', 'crédit insuffisant'],
      ['failed', 'Réponse interrompue : le serveur a fermé la connexion.'],
    ])
  })

  it('tells what the server refuses before any model is asked', async () => {
    vi.stubGlobal('fetch', async () => Response.json({ code: 'assistant_rate_limited', message: 'réessayer dans 12 s', details: {} }, { status: 429 }))
    const { chat } = talk()
    await chat.send('generate', 'EMA')
    expect(chat.exchanges.value[0]).toMatchObject({ phase: 'failed', message: 'réessayer dans 12 s' })
  })

  it('stops at once and changes nothing', async () => {
    answering([{ type: 'text', text: 'Je commence' }], 'wait')
    const { bench, chat } = talk()
    const sending = chat.send('continue', 'Seuil')
    await vi.waitFor(() => expect(chat.exchanges.value[0]?.words).toBe('Je commence'))
    chat.stop()
    await sending
    expect([chat.exchanges.value[0]?.phase, chat.busy.value, bench.draft.code]).toEqual(['stopped', false, OLD])
  })

  it('starts anew with another strategy: its proposals would replace the wrong text', async () => {
    answering([DONE])
    const { bench, chat } = talk()
    await chat.send('continue', 'Seuil')
    bench.show({ name: 'Autre', code: 'x = 1' })
    await vi.waitFor(() => expect(chat.exchanges.value).toEqual([]))
  })
})
