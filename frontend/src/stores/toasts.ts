import { defineStore } from 'pinia'
import { ref } from 'vue'
import { messageOf } from '@/api/errors'

export type ToastTone = 'info' | 'ok' | 'warn' | 'bad'

export interface Toast {
  id: number
  tone: ToastTone
  title: string
  text?: string
}

const MAX_TOASTS = 5

/** Short messages that come and go; the same message is never shown twice at once. */
export const useToasts = defineStore('toasts', () => {
  const toasts = ref<Toast[]>([])
  let nextId = 1

  function push(tone: ToastTone, title: string, text?: string): void {
    if (toasts.value.some((toast) => toast.title === title && toast.text === text)) return
    toasts.value = [...toasts.value, { id: nextId++, tone, title, text }].slice(-MAX_TOASTS)
  }

  function dismiss(id: number): void {
    toasts.value = toasts.value.filter((toast) => toast.id !== id)
  }

  /** Shows a failure with the server's own message. */
  function failure(title: string, error: unknown): void {
    push('bad', title, messageOf(error))
  }

  return { toasts, push, dismiss, failure }
})
