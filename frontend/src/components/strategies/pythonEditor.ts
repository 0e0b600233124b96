/** CodeMirror as the strategies' page uses it: Python, our colours, our completion, errors at their line. */
import { autocompletion, type Completion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete'
import { indentWithTab } from '@codemirror/commands'
import { python } from '@codemirror/lang-python'
import { HighlightStyle, indentUnit, syntaxHighlighting } from '@codemirror/language'
import { lintGutter, type Diagnostic } from '@codemirror/lint'
import { EditorState, Prec, type Extension, type Text } from '@codemirror/state'
import { EditorView, keymap } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import type { CodeError, Indicator } from '@/api/strategies'
import { pageNonce } from '@/utils/nonce'

const CONTRACT: Completion[] = [
  { label: 'should_long', type: 'method', detail: '(self) → bool', info: 'Acheter maintenant ? Demandé à chaque clôture.', apply: 'def should_long(self):\n        return ' },
  { label: 'should_short', type: 'method', detail: '(self) → bool', info: 'Quitter la position longue ? (spot)', apply: 'def should_short(self):\n        return ' },
  { label: 'calculate_position_size', type: 'method', detail: '(self) → float', info: 'Montant à dépenser, dans la devise de cotation.', apply: 'def calculate_position_size(self):\n        return self.balance * 0.1' },
  { label: 'calculate_stop_loss', type: 'method', detail: '(self) → float', info: 'Part du dernier cours à la décision : 0.02 = 2 %. 0 = aucun.', apply: 'def calculate_stop_loss(self):\n        return 0.02' },
  { label: 'calculate_take_profit', type: 'method', detail: '(self) → float', info: 'Part du dernier cours à la décision : 0.04 = 4 %. 0 = aucun.', apply: 'def calculate_take_profit(self):\n        return 0.04' },
  { label: 'STRATEGY_PARAMS', type: 'constant', info: 'Réglages proposés à l’activation et au test.', apply: 'STRATEGY_PARAMS = {\n        "longueur": {"default": 14, "min": 2, "max": 50, "step": 1, "label": "Longueur"},\n    }' },
]
const MEMBERS: Completion[] = [
  { label: 'candles', type: 'property', detail: 'DataFrame', info: 'Bougies closes, la plus ancienne en premier : open, high, low, close, volume.' },
  { label: 'balance', type: 'property', detail: 'float', info: 'Devise de cotation libre.' },
  { label: 'position', type: 'property', detail: 'None ou objet', info: 'side, quantity, entry_price, entry_time, stop_loss, take_profit, unrealized_pnl' },
  { label: 'params', type: 'property', detail: 'dict', info: 'Valeurs de STRATEGY_PARAMS.' },
]
const COLUMNS: Completion[] = ['open', 'high', 'low', 'close', 'volume'].map((label) => ({ label, type: 'text' }))

/** How an indicator is called: `ema(close, length=…)`. */
export function signatureOf(indicator: Indicator): string {
  return `${indicator.name}(${indicator.arguments.join(', ')})`
}

const SERIES = new Set(['open_', 'high', 'low', 'close', 'volume'])

/** What is typed when an indicator is chosen: its series filled in, its first setting ready to be typed over. */
export function callOf(indicator: Indicator): string {
  const series = indicator.arguments.filter((name) => SERIES.has(name)).map((name) => `self.candles["${name.replace('_', '')}"]`)
  const length = indicator.arguments.includes('length') ? ['length=14'] : []
  return `${indicator.name}(${[...series, ...length].join(', ')})`
}

/** The completion of `ta.`, `self.`, `candles["` and of the contract's methods. */
export function completeStrategy(indicators: () => readonly Indicator[]) {
  return (context: CompletionContext): CompletionResult | null => {
    const call = context.matchBefore(/\bta\.\w*/)
    if (call) {
      const options = indicators().map((one) => ({ label: one.name, type: 'function', detail: `(${one.arguments.join(', ')})`, info: one.label || undefined, boost: one.label ? 1 : 0, apply: callOf(one) }))
      return { from: call.from + 3, options, validFor: /^\w*$/ }
    }
    const member = context.matchBefore(/\bself\.\w*/)
    if (member) return { from: member.from + 5, options: MEMBERS, validFor: /^\w*$/ }
    const column = context.matchBefore(/candles\["\w*/)
    if (column) return { from: column.from + 9, options: COLUMNS, validFor: /^\w*$/ }
    const method = context.matchBefore(/^\s+(def\s+)?\w*/)
    if (!method || (!context.explicit && method.text.trim() === '')) return null
    return { from: method.from + method.text.length - method.text.trimStart().length, options: CONTRACT, validFor: /^(def\s+)?\w*$/ }
  }
}

/** The line of the class: what is missing in it is shown there. */
function classLine(doc: Text): number {
  for (let line = 1; line <= doc.lines; line += 1) if (/^class\s+\w+\s*\(/.test(doc.line(line).text)) return line
  return 1
}

/** Marks of the errors the server found; one whose line is unknown is about the class. */
export function diagnosticsOf(errors: readonly CodeError[], doc: Text): Diagnostic[] {
  return errors.map((error) => {
    const line = doc.line(Math.min(Math.max(error.line ?? classLine(doc), 1), doc.lines))
    const start = error.column ? Math.min(line.from + error.column - 1, line.to) : line.from + (line.text.length - line.text.trimStart().length)
    return { from: start, to: line.to, severity: 'error', message: error.message }
  })
}

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--k-key)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--k-str)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--k-num)' },
  { tag: tags.comment, color: 'var(--k-com)', fontStyle: 'italic' },
  { tag: [tags.function(tags.variableName), tags.function(tags.definition(tags.variableName)), tags.definition(tags.className)], color: 'var(--k-fn)' },
])

const look = EditorView.theme({
  '&': { height: '100%', backgroundColor: 'var(--sunken)', color: 'var(--text)', fontSize: '12.5px' },
  '.cm-scroller': { fontFamily: 'var(--font-mono)', lineHeight: '20px' },
  '.cm-gutters': { backgroundColor: 'var(--sunken)', color: 'var(--text-3)', borderRight: '1px solid var(--line)' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--neutral-soft)' },
  '.cm-cursor': { borderLeftColor: 'var(--primary)' },
  '&.cm-focused > .cm-scroller .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--active)' },
  '.cm-tooltip': { backgroundColor: 'var(--raised)', border: '1px solid var(--line-strong)', borderRadius: 'var(--r-md)', color: 'var(--text)' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--active)', color: 'var(--text)' },
  '.cm-completionDetail': { color: 'var(--text-3)', fontStyle: 'normal' },
  '.cm-panels': { backgroundColor: 'var(--surface)', color: 'var(--text)' },
  '.cm-matchingBracket': { backgroundColor: 'var(--primary-soft)', outline: 'none' },
  '.cm-insertedLine, .cm-changedLine': { backgroundColor: 'var(--success-soft) !important' },
  '.cm-collapsedLines': { background: 'var(--raised) !important', color: 'var(--text-3)', padding: '0 8px', fontFamily: 'var(--font-ui)', fontSize: '11px' },
  '.cm-collapsedLines:before, .cm-collapsedLines:after': { content: '"⋯" !important' },
  '.cm-chunkButtons button': { padding: '0 8px', borderRadius: 'var(--r-sm)', fontFamily: 'var(--font-ui)', fontSize: '11px', cursor: 'pointer' },
  '.cm-chunkButtons button[name="accept"]': { background: 'var(--success-fill)', color: 'var(--on-success)' },
  '.cm-chunkButtons button[name="reject"]': { background: 'var(--danger-fill)', color: 'var(--on-danger)' },
  '.cm-deletedChunk': { backgroundColor: 'var(--danger-soft) !important' },
})

/** Everything that reading Python needs: colours, indentation, our look. */
export function readingExtensions(): Extension[] {
  const nonce = pageNonce()
  const allowed = nonce ? [EditorView.cspNonce.of(nonce)] : []
  return [...allowed, python(), indentUnit.of('    '), EditorState.tabSize.of(4), syntaxHighlighting(colours), look]
}

/** Everything that writing adds; `keys` names what the page does by keyboard. */
export function writingExtensions(indicators: () => readonly Indicator[], keys: Record<string, () => void>): Extension[] {
  const ours = Object.entries(keys).map(([key, action]) => ({ key, preventDefault: true, run: () => (action(), true) }))
  return [
    lintGutter(),
    autocompletion({ override: [completeStrategy(indicators)] }),
    // Before the editor's own keys: Ctrl + Entrée would open a line there.
    Prec.highest(keymap.of(ours)),
    keymap.of([indentWithTab]),
    EditorState.phrases.of(PHRASES),
    EditorView.contentAttributes.of({ 'aria-label': 'Code Python de la stratégie', spellcheck: 'false' }),
  ]
}

/** The merge view's words. */
export const DIFF_PHRASES = { Accept: 'Garder', Reject: 'Refuser', '$ unchanged lines': '$ lignes inchangées' }

const PHRASES = {
  Find: 'Chercher',
  Replace: 'Remplacer',
  next: 'suivant',
  previous: 'précédent',
  all: 'tous',
  'match case': 'casse',
  regexp: 'expression',
  'by word': 'mot entier',
  replace: 'remplacer',
  'replace all': 'tout remplacer',
  close: 'fermer',
  'No diagnostics': 'Aucune erreur',
}
