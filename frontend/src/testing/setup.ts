/** What every spec shares. */
import { configure } from '@testing-library/vue'
import { afterEach, vi } from 'vitest'

// A busy machine is slow, not wrong: waiting has a generous limit and ends as soon as it can.
configure({ asyncUtilTimeout: 10_000 })

afterEach(() => vi.unstubAllGlobals())
