export default function ConsolePage({ id = "" }: { id?: string | undefined }) { return <main>{id}</main>; }
