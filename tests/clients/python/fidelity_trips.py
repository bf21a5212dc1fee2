def there_and_back(doors):
    return []
