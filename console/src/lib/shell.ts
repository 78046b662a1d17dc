// Words for a command line that is copied into a shell: what the service says must not become a command of its own.

/** The text as one word. */
export function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
