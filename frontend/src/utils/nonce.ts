/**
 * What the page's policy (`core.security_headers`) asks of a style sheet that a library writes by itself.
 * Absent in development, where Vite serves the page.
 */
export function pageNonce(): string | undefined {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce || undefined
}
