import { describe, expect, it } from 'vitest'
import { countChanges, liveParts, nameOfClass, pieces } from './answer'

describe('an answer while it comes', () => {
  it('shows the words and counts the lines of code', () => {
    expect(liveParts('Je change.\n```python\nclass A:\n    pa')).toEqual({ words: 'Je change.', codeLines: 2 })
    expect(liveParts('Je change.\n```python\nx\n```\nVoilà.').words).toBe('Je change.\n\nVoilà.')
    expect(liveParts('<think>euh ```python')).toEqual({ words: '', codeLines: 0 })
  })

  it('sets names apart and leaves markup as the text it is', () => {
    expect(pieces('La colonne `rsi` <b>non</b>')).toEqual([
      { text: 'La colonne ', isCode: false },
      { text: 'rsi', isCode: true },
      { text: ' <b>non</b>', isCode: false },
    ])
    expect(pieces('un ` seul')).toEqual([{ text: 'un ', isCode: false }, { text: ' seul', isCode: false }])
  })

  it('counts what a change adds and takes away', () => {
    expect(countChanges('a\nb\nc\n', 'a\nB\nc\nd\n')).toEqual({ added: 2, removed: 1 })
    expect(countChanges('a', 'a')).toEqual({ added: 0, removed: 0 })
    expect(nameOfClass('CroisementEma20Lent')).toBe('Croisement Ema20 Lent')
  })
})
