import { computed, onScopeDispose, reactive, ref, shallowRef, watch } from 'vue'
import { askAssistant, type AssistantEvent, type AssistantMode } from '@/api/assistant'
import { messageOf } from '@/api/errors'
import { validateCode, type CodeError } from '@/api/strategies'
import { liveParts, nameOfClass } from '@/components/strategies/answer'
import type { Workbench } from './useWorkbench'

export interface Proposal {
  code: string
  className: string | null
  valid: boolean
  errors: readonly CodeError[]
  /** Why the code could not be tried, "" when it was. */
  unchecked: string
  outcome: 'open' | 'accepted' | 'refused'
}

export interface Exchange {
  id: number
  mode: AssistantMode
  asked: string
  model: string
  phase: 'waiting' | 'thinking' | 'writing' | 'checking' | 'repairing' | 'done' | 'failed' | 'stopped'
  words: string
  codeLines: number
  elapsed: number
  repaired: readonly CodeError[]
  proposal: Proposal | null
  message: string
}

const MAX_HISTORY = 8
const MAX_KEPT = 30
const MAX_WORDS = 8000
export const ASKED: Record<AssistantMode, string> = { generate: 'Écris une nouvelle stratégie', continue: 'Continue ce code', explain: 'Explique ce code' }
let last = 0

/** The talk with the assistant about the text on the workbench. Nothing changes that text but an accepted proposal. */
export function useAssistantChat(bench: Workbench) {
  const exchanges = ref<Exchange[]>([])
  const running = shallowRef<AbortController | null>(null)
  const busy = computed(() => running.value !== null)

  function history(): { asked: string; answered: string }[] {
    const finished = exchanges.value.filter((one) => one.phase === 'done')
    return finished.slice(-MAX_HISTORY).map((one) => ({ asked: one.asked, answered: one.words.slice(0, MAX_WORDS) }))
  }

  async function send(mode: AssistantMode, message: string): Promise<void> {
    if (busy.value) return
    const asked = message.trim() || ASKED[mode]
    const errors = mode === 'generate' ? [] : [...bench.errors.value]
    const body = { task: mode, message: message.trim(), code: bench.draft.code, errors, history: mode === 'generate' ? [] : history() }
    const one = reactive<Exchange>({ id: (last += 1), mode, asked, model: '', phase: 'waiting', words: '', codeLines: 0, elapsed: 0, repaired: [], proposal: null, message: '' })
    exchanges.value = [...exchanges.value, one].slice(-MAX_KEPT)
    running.value = new AbortController()
    try {
      await follow(one, askAssistant(body, running.value.signal), running.value.signal)
    } catch (error) {
      one.phase = 'failed'
      one.message = messageOf(error)
    } finally {
      running.value = null
    }
  }

  async function follow(one: Exchange, events: AsyncGenerator<AssistantEvent>, signal: AbortSignal): Promise<void> {
    let text = ''
    for await (const event of events) {
      if (event.type === 'text') text += event.text ?? ''
      if (event.type === 'repair') text = ''
      apply(one, event, text)
    }
    if (one.phase === 'done' || one.phase === 'failed') return
    one.phase = signal.aborted ? 'stopped' : 'failed'
    one.message = signal.aborted ? 'Arrêté.' : 'Réponse interrompue : le serveur a fermé la connexion.'
  }

  function stop(): void {
    running.value?.abort()
  }
  // A talk is about one strategy: with another on the workbench, its proposals would replace the wrong text.
  watch(bench.document, () => {
    stop()
    exchanges.value = []
  })
  onScopeDispose(stop)

  function accept(one: Exchange, code = one.proposal?.code): void {
    if (!one.proposal || code === undefined) return
    const { className } = one.proposal
    bench.draft.code = code
    if (!bench.draft.name.trim() && className) bench.draft.name = nameOfClass(className)
    one.proposal.outcome = 'accepted'
    bench.closeReview()
    void bench.check()
  }
  function refuse(one: Exchange): void {
    if (one.proposal) one.proposal.outcome = 'refused'
    bench.closeReview()
  }
  /** Shows a proposal in the editor, to take some of its changes only. */
  function review(one: Exchange): void {
    if (one.proposal) bench.openReview({ code: one.proposal.code, apply: (code) => accept(one, code), refuse: () => refuse(one) })
  }
  /** Tries a proposal again that the sandbox could not try. */
  async function recheck(one: Exchange): Promise<void> {
    if (!one.proposal) return
    try {
      const verdict = await validateCode(one.proposal.code)
      Object.assign(one.proposal, { valid: verdict.valid, errors: verdict.errors, className: verdict.class_name, unchecked: '' })
    } catch (error) {
      one.proposal.unchecked = messageOf(error)
    }
  }

  return { exchanges, busy, send, stop, accept, refuse, review, recheck }
}

function apply(one: Exchange, event: AssistantEvent, text: string): void {
  if (event.type === 'start') one.model = event.model ?? ''
  else if (event.type === 'wait') one.elapsed = event.elapsed_s ?? 0
  else if (event.type === 'think') one.phase = 'thinking'
  else if (event.type === 'text') Object.assign(one, { phase: 'writing', ...liveParts(text) })
  else if (event.type === 'check') one.phase = 'checking'
  else if (event.type === 'repair') Object.assign(one, { phase: 'repairing', repaired: event.errors ?? [], codeLines: 0 })
  else if (event.type === 'error') Object.assign(one, { phase: 'failed', message: messageOf(event.message ?? '') })
  else finish(one, event)
}

function finish(one: Exchange, event: AssistantEvent): void {
  one.phase = 'done'
  one.words = event.text ?? ''
  if (!event.code) return
  one.proposal = { code: event.code, className: event.class_name ?? null, valid: event.valid ?? false, errors: event.errors ?? [], unchecked: event.unchecked ?? '', outcome: 'open' }
}

export type AssistantChat = ReturnType<typeof useAssistantChat>
