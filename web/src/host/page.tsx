export default function HostPage({ id = "" }: { id?: string | undefined }) { return <main>{id}</main>; }
