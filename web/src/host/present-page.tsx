export default function PresentPage({ id = "" }: { id?: string | undefined }) { return <main>{id}</main>; }
