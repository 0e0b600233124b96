import { CompletionContext } from '@codemirror/autocomplete'
import { EditorState, Text } from '@codemirror/state'
import { describe, expect, it } from 'vitest'
import type { Indicator } from '@/api/strategies'
import { callOf, completeStrategy, diagnosticsOf } from './pythonEditor'

const indicators: Indicator[] = [
  { name: 'atr', label: 'Amplitude moyenne', category: 'volatility', arguments: ['high', 'low', 'close', 'length', 'drift'], columns: false },
  { name: 'ema', label: '', category: 'overlap', arguments: ['close', 'length'], columns: false },
]

function proposals(text: string, explicit = false): string[] {
  const state = EditorState.create({ doc: text })
  const found = completeStrategy(() => indicators)(new CompletionContext(state, text.length, explicit))
  return found?.options.map((option) => option.label) ?? []
}

describe('completion', () => {
  it('offers the indicators after « ta. » and types a whole call', () => {
    expect(proposals('x = ta.')).toEqual(['atr', 'ema'])
    expect(callOf(indicators[0]!)).toBe('atr(self.candles["high"], self.candles["low"], self.candles["close"], length=14)')
  })

  it('offers what the contract gives', () => {
    expect(proposals('self.')).toContain('balance')
    expect(proposals('self.candles["')).toEqual(['open', 'high', 'low', 'close', 'volume'])
    expect(proposals('    def sho')).toContain('should_long')
  })

  it('stays quiet where nobody asks', () => {
    expect(proposals('    ')).toEqual([])
    expect(proposals('x = metal.')).toEqual([])
  })
})

describe('marks of errors', () => {
  const doc = Text.of(['a = 1', '    b = (', 'c'])

  it('underline from the column to the end of the line', () => {
    expect(diagnosticsOf([{ line: 2, column: 9, message: 'ouvert' }], doc)).toEqual([{ from: 14, to: 15, severity: 'error', message: 'ouvert' }])
  })

  it('underline the words of a line whose column is unknown, and survive a line that is gone', () => {
    expect(diagnosticsOf([{ line: 2, column: null, message: 'x' }], doc)[0]).toMatchObject({ from: 10, to: 15 })
    expect(diagnosticsOf([{ line: 99, column: 40, message: 'x' }], doc)[0]).toMatchObject({ from: 17, to: 17 })
    expect(diagnosticsOf([{ line: null, column: null, message: 'x' }], doc)[0]).toMatchObject({ from: 0 })
    const whole = Text.of(['import pandas_ta as ta', '', 'class A(Strategy):'])
    expect(diagnosticsOf([{ line: null, column: null, message: 'il manque une méthode' }], whole)[0]).toMatchObject({ from: whole.line(3).from })
  })
})
