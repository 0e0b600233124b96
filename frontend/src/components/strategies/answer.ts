/** An answer of the assistant as it is shown: plain text in pieces, never markup. */
import { Chunk } from '@codemirror/merge'
import { Text } from '@codemirror/state'

/** What an answer shows while it comes: its words, and how many lines of code have been written. */
export function liveParts(text: string): { words: string; codeLines: number } {
  const spoken = text.replace(/<think>[\s\S]*?(<\/think>|$)/gi, '')
  const parts = spoken.split(/^[ \t]*```.*$/m)
  const words = parts.filter((_, index) => index % 2 === 0).join('').trim()
  const code = parts.filter((_, index) => index % 2 === 1).join('\n').trim()
  return { words, codeLines: code ? code.split('\n').length : 0 }
}

/** A text parted at its `backquotes`, so that names of code can be set apart. */
export function pieces(text: string): { text: string; isCode: boolean }[] {
  return text
    .split('`')
    .map((part, index, all) => ({ text: part.replaceAll('**', ''), isCode: index % 2 === 1 && index < all.length - 1 }))
    .filter((part) => part.text !== '')
}

/** How many lines a change adds and takes away. */
export function countChanges(before: string, after: string): { added: number; removed: number } {
  const [a, b] = [Text.of(before.split('\n')), Text.of(after.split('\n'))]
  const lines = (doc: Text, from: number, to: number): number => (from >= to ? 0 : doc.lineAt(Math.min(to - 1, doc.length)).number - doc.lineAt(from).number + 1)
  const count = { added: 0, removed: 0 }
  for (const chunk of Chunk.build(a, b)) {
    count.added += lines(b, chunk.fromB, chunk.toB)
    count.removed += lines(a, chunk.fromA, chunk.toA)
  }
  return count
}

/** A name for a strategy from that of its class: `CroisementEma` is « Croisement Ema ». */
export function nameOfClass(name: string): string {
  return name.replaceAll('_', ' ').replace(/(\p{Ll}|\d)(\p{Lu})/gu, '$1 $2').trim()
}
